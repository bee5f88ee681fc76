"""Why a text holds no number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from themis_lib.builtins.numerals import Numeral


@dataclass(frozen=True)
class NoNumber:
    """There is no number; `reason` says why, or is empty if nothing looks like one."""

    reason: str = ""


#: Of the text around a number that a reason shows: before it, and from it on.
_BEFORE_CHARS = 12
_EXCERPT_CHARS = 24


def no_number(
    what: str,
    text: str,
    numeral: Numeral,
) -> NoNumber:
    """Return as the reason what is the matter with a numeral, with the text around it."""
    begin = max(numeral.start - _BEFORE_CHARS, 0)
    before = text[begin : numeral.start].rpartition("\n")[2]
    # No half words.
    if begin > 0 and " " in before.strip():
        before = before.partition(" ")[2]
    start = numeral.start - len(before)
    shown = excerpt(
        text,
        start,
        longest=len(before) + _EXCERPT_CHARS,
    )
    return NoNumber(f"{what}: {shown}")


def excerpt(
    text: str,
    start: int,
    *,
    longest: int = _EXCERPT_CHARS,
) -> str:
    """Return the beginning of a line that a reason shows, from `start` on."""
    line = text[start:].partition("\n")[0].strip()
    if len(line) > longest:
        line = line[:longest] + "…"
    return repr(line)
