r"""Markers of a final answer in running text.

Examples are `####`, `the answer is`, `Answer:` and `\boxed`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

#: Literals to look for, each with the pattern that must match where it occurs. The end
#: of the match is where the answer begins.
Markers: TypeAlias = Mapping[str, re.Pattern[str]]
#: What links `the answer` to the answer itself.
IS = (
    r"[\"'*_`]*\s*"
    r"(?:is|are|was|will be|would be|should be|must be"
    r"|[-=]?>|→|:|=)"
)
# `####` is how GSM8K ends a solution, `A:` how few-shot prompts do.
_OF_EVERY_ANSWER = {
    "####": "####",
    "A:": "A:",
    "\\boxed": r"\\boxed",
    "\\fbox": r"\\fbox",
}
# How far a marker reaches, in characters. Without a limit, the gap behind each of many
# markers could run through all of them.
_MARKER_CHARS = 1000
# Indents and quote marks in front of `A:` that are looked at, in characters.
_LINE_START_CHARS = 8


def compile_markers(
    patterns: Mapping[str, str],
    *,
    gap: str,
) -> Markers:
    """Return the markers of every kind of answer, and those in `patterns`.

    `gap` is a pattern of what may be between a marker and the answer.
    """
    markers = {
        **_OF_EVERY_ANSWER,
        **patterns,
    }
    compiled = {}
    for literal, marker in markers.items():
        pattern = marker + gap
        compiled[literal] = re.compile(pattern)
    return compiled


def marked(
    text: str,
    markers: Markers,
) -> list[tuple[int, int]]:
    """Return where each marker begins and where its answer begins, last one first."""
    found = []
    for literal, pattern in markers.items():
        # Finding a literal is many times faster than searching for the pattern, and
        # most texts hold few of them.
        begin = text.rfind(literal)
        while begin >= 0:
            match = pattern.match(text, begin, begin + _MARKER_CHARS)
            # Inside a line `A:` ends a word, or `Q&A:`.
            is_marker = literal != "A:" or _begins_line(text, begin)
            if match and is_marker:
                found.append(match.span())
            begin = text.rfind(literal, 0, begin)
    return sorted(found, reverse=True)


def _begins_line(
    text: str,
    position: int,
) -> bool:
    start = max(position - _LINE_START_CHARS, 0)
    before = text[start:position]
    _, newline, line = before.rpartition("\n")
    if line.strip(" \t*_>"):
        return False
    # Without a line break, the line begins here only if the text does.
    return newline == "\n" or position <= _LINE_START_CHARS
