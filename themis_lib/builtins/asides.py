"""Numerals that are no answer: of a label, a citation, an ordinal, a confidence.

All text is in plain notation.
"""

from __future__ import annotations

import re

from themis_lib.builtins.numerals import Numeral
from themis_lib.builtins.signs import ALPHABETS_END, VARIABLE_BEFORE

# Enough for the longest label.
_BEFORE_CHARS = 80

_ORDINAL = re.compile(r"\^?\{?(?:st|nd|rd|th|º|ª|ème)\b")
_CITED = re.compile(
    r"[\w.,;:!?%)\]\"'”](?<!\bis)(?<!\bare)(?<!\bwas)(?<!\bget)[ ]?\[\^?[\d ,-]*\Z"
)
_CITED_END = re.compile(r"[\d ,-]*\]")
#: `330 m (1)`: a note, or the same in another unit.
_NOTE = re.compile(r"\d[ ]?[^\W\d_]*[ ]\(\Z")
_NOTE_END = re.compile(r"\)")
_YEAR_CITED = re.compile(r"\([A-Z][^()\n]*[ ]\Z")
_YEAR_CITED_END = re.compile(r"[a-z]?\)")
_LABEL = re.compile(
    r"\b(?:steps?|fig(?:ure)?s?\.?|tables?|eq(?:uation)?s?\.?|sections?|chapters?|pages?"
    r"|footnotes?|questions?|problems?|exercises?|examples?|ref(?:erence)?s?\.?|sources?"
    r"|theorems?|lemmas?|versions?|methods?|appendix)[ ]?[#(]?\Z"
    r"|\b(?:confidence|certainty)(?:[ ](?:level|score|is|of|in|\w+ly))*[*\"']*[ ]*[:=(]?[* ]*\Z"
    r"|\bconfidence[*]*:[^\n\d]{0,20}\Z"
    r"|\b(?:https?://|www\.)\S*\Z"
    r"|(?:\A|[({,;*])[ ]*(?:steps|attempts|tokens)(?:[ ]\w+)?[*]*:[*]*[ ]*\Z"
    r"|第[ ]?\Z",
    re.IGNORECASE,
)
_CONFIDENCE = re.compile(
    r"[ ]?%?[ ](?:confiden|certain(?:ty)?\b|sure\b)",
    re.IGNORECASE,
)
# `18 pears out of 20`, but not `3 bags of 20`.
_OF = re.compile(
    r"(?:\d(?:st|nd|rd|th|[ ]?%)?[ ]of|\d[ ]?%?(?:[ ][^\W\d_]+)?[ ](?:out[ ]of|\((?:out[ ])?of))"
    r"[ ](?:(?:the|every)[ ])?[$€£¥₹]?\Z"
)
_TOOK = re.compile(
    r"\b(?:[Ii]t|[Tt]his|[Tt]hat)[ ]took[ ](?:me[ ])?(?:only[ ])?\Z|\(\Z"
)
_ATTEMPTS = re.compile(r"[ ](?:steps?|attempts?|tries|iterations?)\b")


def is_aside(
    text: str,
    numeral: Numeral,
    *,
    start: int,
) -> bool:
    """Return whether a numeral is no candidate for an answer.

    That is a part of a word, an index, an exponent, an ordinal, a citation, the label
    of a figure, a confidence, or what a share is taken of. `start` is where its sign
    begins.
    """
    if not _stands_alone(text, numeral.start):
        return True
    before = text[max(start - _BEFORE_CHARS, 0) : start]
    before = before[before.rfind("\n") + 1 :]
    if _LABEL.search(before) or _OF.search(before):
        return True
    return _is_ordinal(text, numeral, before) or _is_remark(text, numeral, before)


def _is_ordinal(
    text: str,
    numeral: Numeral,
    before: str,
) -> bool:
    # `1/3rd` is a fraction, and `7 - 1 = 6th` a result.
    if not numeral.written.isdigit() or before.endswith(("=", "= ", ">>")):
        return False
    return _ORDINAL.match(text, numeral.end) is not None


def _is_remark(
    text: str,
    numeral: Numeral,
    before: str,
) -> bool:
    """Return whether a numeral is a citation, a note, a confidence or an effort."""
    end = numeral.end
    if _CONFIDENCE.match(text, end):
        return True
    is_year = len(numeral.written) == len("2020")
    remarks = (
        (_ATTEMPTS, _TOOK, True),
        (_CITED_END, _CITED, True),
        (_NOTE_END, _NOTE, True),
        (_YEAR_CITED_END, _YEAR_CITED, is_year),
    )
    for behind, ahead, is_possible in remarks:
        if is_possible and behind.match(text, end) and ahead.search(before):
            return True
    return False


def _stands_alone(
    text: str,
    start: int,
) -> bool:
    before = text[max(start - 3, 0) : start]
    last = before[-1:]
    previous = before[-2:-1]
    if last.isalpha():
        # Later scripts, such as Chinese, have no spaces between words.
        is_operator = last == "π" or (last == "x" and previous.isdigit())
        return last >= ALPHABETS_END or is_operator
    if last in ("-", "_"):
        # `GPT-4`, `10^-2` and `x_{-1}`, but not the subtraction in `16 -3` or `x-3`.
        if previous.isalpha() and previous < ALPHABETS_END:
            is_variable = VARIABLE_BEFORE.search(before[:-1]) is not None
            return last == "-" and is_variable and previous.islower()
        return previous != "^" and not before.endswith(("^{-", "_{-"))
    if last == "^":
        return False
    return before[-2:] not in ("^{", "_{")
