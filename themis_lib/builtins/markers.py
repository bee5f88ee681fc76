"""Markers of a final answer in running text: `####`, `the answer is`, `Answer:`,
`\\boxed`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

#: Texts to look for, each with the pattern that must match there and ends where the
#: answer begins.
Markers: TypeAlias = Mapping[str, re.Pattern[str]]
#: What links `the answer` to the answer itself.
IS = r"[\"'*_`]*\s*(?:is|are|was|will be|would be|should be|must be|[-=]?>|→|:|=)"


def compile_markers(
    patterns: Mapping[str, str],
    *,
    gap: str,
) -> Markers:
    """The markers of every kind of answer and those in `patterns`; `gap` may stand
    between them and the answer.
    """
    return {
        literal: re.compile(marker + gap)
        for literal, marker in {**_OF_EVERY_ANSWER, **patterns}.items()
    }


_OF_EVERY_ANSWER = {
    "####": "####",
    "A:": "A:",
    "\\boxed": r"\\boxed",
    "\\fbox": r"\\fbox",
}


def marked(
    text: str,
    markers: Markers,
) -> list[tuple[int, int]]:
    """Where markers begin and where what they mark begins, the last marker first."""
    found = []
    for literal, pattern in markers.items():
        begin = text.rfind(literal)
        while begin >= 0:
            match = pattern.match(text, begin)
            if match and (literal != "A:" or _begins_line(text, begin)):
                found.append(match.span())
            begin = text.rfind(literal, 0, begin)
    return sorted(found, reverse=True)


def _begins_line(
    text: str,
    position: int,
) -> bool:
    _, newline, line = text[max(position - 8, 0) : position].rpartition("\n")
    return not line.strip(" \t*_>") and (newline == "\n" or position <= 8)
