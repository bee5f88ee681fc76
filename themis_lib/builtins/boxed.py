r"""The LaTeX in the boxes of a text: `\boxed{…}` and `\fbox{…}`."""

from __future__ import annotations

import re
from typing import TypeAlias

_Match: TypeAlias = re.Match[str]

_BOX = re.compile(r"\\(?:boxed|fbox)")
# `\\.` comes after the boxes and consumes escapes, so that the braces of `\{1, 2\}`
# are content and never match those of the box.
_BRACES = re.compile(
    r"\\(?:boxed|fbox)\s*\{"
    r"|\\."
    r"|[{}]",
    re.DOTALL,
)
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]+([^\s{}$]+)")


def last_box(text: str) -> str | None:
    r"""Return the content of the box that begins last, or `None` without a box.

    A box counts if its braces match or if it has none (`\boxed 5`).
    """
    box = find_last_box(text)
    return None if box is None else box[1]


def find_last_box(text: str) -> tuple[int, str] | None:
    """Return where the box begins that `last_box` reads, and its content."""
    first = _BOX.search(text)
    if first is None:
        return None
    # Braces before the first box cannot belong to one.
    start = first.start()
    open_braces: list[_Match] = []
    begin = -1
    content = ""
    for token in _BRACES.finditer(text, start):
        written = token[0]
        if written.endswith("{") and written != "\\{":
            open_braces.append(token)
        elif written == "}" and open_braces:
            opened = open_braces.pop()
            # A box is longer than one character; a plain `{` opens a group inside it.
            is_box = len(opened[0]) > 1
            # Inner boxes close first but begin later, so the beginning decides.
            if is_box and opened.start() > begin:
                begin, inside = opened.span()
                end = token.start()
                content = text[inside:end]
    for bare in _BARE_BOX.finditer(text, start):
        if bare.start() > begin:
            begin = bare.start()
            content = bare[1]
    return None if begin < 0 else (begin, content)


def trimmed_math(latex: str) -> str:
    """Remove surrounding space and dollar signs, and a final period.

    >>> trimmed_math(" $5.$ ")
    '5'
    """
    # Each removal can expose the next: `$5.$ .` takes three rounds.
    while True:
        trimmed = latex.strip()
        trimmed = trimmed.removesuffix(".")
        trimmed = trimmed.strip()
        # A single `$` is both first and last character, but encloses nothing.
        if len(trimmed) > 1:
            first, last = trimmed[0], trimmed[-1]
            if first == last == "$":
                trimmed = trimmed[1:-1]
        if trimmed == latex:
            return trimmed
        latex = trimmed
