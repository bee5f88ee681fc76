r"""The LaTeX in the boxes of a text, `\boxed{…}` and `\fbox{…}`."""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox)")
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]+([^\s{}$]+)")


def last_box(text: str) -> str | None:
    """The content of the box that begins last, among those whose braces match and those
    without braces.
    """
    first = _BOX.search(text)
    if first is None:
        return None
    open_braces: list[re.Match[str]] = []
    begin, content = -1, None
    for token in _BRACES.finditer(text, first.start()):
        if token[0].endswith("{") and token[0] != "\\{":
            open_braces.append(token)
        elif token[0] == "}" and open_braces:
            opened = open_braces.pop()
            if len(opened[0]) > 1 and opened.start() > begin:
                begin, content = opened.start(), text[opened.end() : token.start()]
    for bare in _BARE_BOX.finditer(text, first.start()):
        if bare.start() > begin:
            begin, content = bare.start(), bare[1]
    return content


def trimmed_math(latex: str) -> str:
    """The LaTeX without the space and dollar signs around it and without a final
    period.
    """
    while True:
        trimmed = latex.strip().removesuffix(".").strip()
        if len(trimmed) > 1 and trimmed.startswith("$") and trimmed.endswith("$"):
            trimmed = trimmed[1:-1]
        if trimmed == latex:
            return trimmed
        latex = trimmed
