"""The number that a text marks as its answer or ends on, or why there is none."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from themis_lib.builtins.asides import is_aside
from themis_lib.builtins.boxed import find_last_box
from themis_lib.builtins.json_numbers import numeric_texts
from themis_lib.builtins.markers import all_markers, marked
from themis_lib.builtins.notation import plain_notation
from themis_lib.builtins.numerals import LONGEST, Numeral, numeral_at, numerals
from themis_lib.builtins.reasons import NoNumber, excerpt, no_number
from themis_lib.builtins.shared_settings import Percent
from themis_lib.builtins.signs import signed_start
from themis_lib.builtins.wholes import larger_whole

_Number: TypeAlias = int | float


_NONE = NoNumber()


def read_number(
    value: Any,
    *,
    percent: Percent = "number",
) -> _Number | NoNumber:
    r"""Return a JSON number, or the number that a text ends on, or why there is none.

    The number directly behind the last marker of an answer (`####`, `answer is`,
    `Answer:`, `\boxed{`, a line that begins with `A:`) takes precedence over the last
    number of the text. Whole numbers are integers, others floats.

    A number is read as a whole or not at all: there is none in `5-6`, `3\pi`, `(2, 3)`,
    `x > 5`, `12:30`, `1, 2 and 3`, `2x + 1` or `16 - 3`, and no digits of a word
    (`GPT-4`, `x_1`), an exponent (`cm^2`), an ordinal or a citation are a number.

    Formats are `1,234.50`, `1 234,50`, `1'234.50`, `1,00,000`, `3,14`, `1e5`, `1/2`,
    `3 1/2`, `\frac{1}{2}`, `10^3`, `2 × 10⁻³`, `1.2 million` and `$1.2M`, in the digits
    of any script. Currencies and units are ignored. `12%` is 12, as GSM8K writes
    percentages, or 0.12 with `percent="fraction"`.

    >>> read_number("16 - 3 = 13")
    13
    >>> read_number("A: $1,234.50")
    1234.5
    >>> read_number("The answer is -3. It took 2 s.")
    -3
    >>> read_number("The answer is 5-6 hours").reason
    "part of a range or a difference: 'answer is 5-6 hours'"
    """
    # In Python `True` is an integer, in JSON it is not a number.
    if isinstance(value, bool):
        return _NONE
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if value.is_integer():
            # 1e23 is 10**23 as it is written, but not as a float stores it.
            return int(Fraction(repr(value)))
        return value if math.isfinite(value) else _NONE
    if not isinstance(value, str):
        return _NONE
    text = plain_notation(value)
    found = _find_answer(text)
    if isinstance(found, NoNumber):
        return found
    return found.value(is_percentage=percent == "fraction")


@dataclass(frozen=True)
class _Found:
    """A numeral in its text, with its sign."""

    text: str
    numeral: Numeral
    is_negative: bool
    is_math: bool

    def value(
        self,
        *,
        is_percentage: bool,
    ) -> _Number | NoNumber:
        """Return the value; a percentage is divided by 100 if `is_percentage`."""
        exact = self.numeral.value(is_math=self.is_math)
        if exact is None:
            return no_number("digits of no known value", self.text, self.numeral)
        if self.is_negative:
            exact = -exact
        if is_percentage and _PERCENT.match(self.text, self.numeral.end):
            exact = exact / 100
        if exact.denominator == 1:
            whole = exact.numerator
            return whole if whole.bit_length() < _LONGEST_BITS else _OUT_OF_RANGE
        try:
            # A value too small for a float is 0, an integer like every whole number.
            return float(exact) or 0
        except OverflowError:
            return _OUT_OF_RANGE


#: A decimal digit takes more than three bits.
_LONGEST_BITS = 3 * LONGEST
_OUT_OF_RANGE = NoNumber("out of range")
_PERCENT = re.compile(r"[ ]?\\?(?:%|(?:percent|per cent|pct)\b)")

_Answer: TypeAlias = _Found | NoNumber


def _find_answer(text: str) -> _Answer:
    found = _find_marked(text)
    if found is None and '"' in text:
        found = _find_in_json(text)
    if found is None:
        found = _find_last(text)
    return found or _NONE


#: What may be between a marker and its answer: punctuation, markup, currencies, signs.
_GAP = (
    r"(?:[\s*_`\"'“‘(\[{}:~≈=|$€£¥₹₩₽+-]"
    r"|\\(?:[(\[$]|(?:text|math)\w+\b)"
    r"|(?:US|A|C|R|S|HK|NZ)\$|(?-i:[A-Z]{3}|Rs\.?)[ ](?=[\d.-])"
    r"|(?:about|approximately|approx\.?|around|roughly|nearly|exactly|only|just|simply"
    r"|therefore|thus|equal[ ]to|a[ ]total[ ]of)\b)*"
)
#: A calculation in front of its result: `2 * 9 = 18`, `x = 18`.
_CALCULATION = r"(?:[A-Za-z]?[ \t\d.,+\-*/×÷·x^()$€£¥₹%=]*=)?"
#: A heading has its answer below it.
_HEADING = r"[*_`]*[ \t]*\n"
# The literals lack their first letter so that one search finds `Answer` and `answer`.
# `</answer` closes a tag: what follows it is not the answer.
_MARKERS = all_markers(
    {
        "nswer": rf"(?<!/[aA])nswers?{_HEADING}",
        "NSWER": rf"(?<!/A)NSWERS?{_HEADING}",
    },
    gap=_GAP + _CALCULATION + _GAP,
)
#: A number that counts the items of a list: `2. Add the prices`.
_ITEM = re.compile(r"[.):]\s+[^\W\d]")
#: Behind a marker, an answer that begins with no number, or that is none.
_NO_NUMERAL = re.compile(
    r"(?:√|π|∞|[<≤≥≠±]|\\(?:[a-z]*frac|log|ln|sin|cos|tan|binom|infty)\b"
    r"|[a-zA-Z][ ]*(?:[<>≤≥≠]|\^|[-+][ ]*\d)"
    r"|(?:unknown|undefined|undetermined|indeterminate|infinite|infinity|impossible"
    r"|none|cannot|can't|DNE|N/A)\b)"
)


#: `x = \\boxed{2}` or, behind it, a second solution.
_BOX_BESIDE = re.compile(
    r"\\(?:boxed|fbox)[ ]*\{[^{}]*\}\$?[ ]*(?:[,;]|[,;]?[ ](?:and|or))[ ]*"
    r"\$?(?:[A-Za-z](?:_\w)?[ ]*=[ ]*)?\Z"
)


def _find_marked(text: str) -> _Answer | None:
    """Return the number behind the last marker that has one."""
    box = find_last_box(text)
    for begin, end in marked(text, _MARKERS):
        # A box that is cut off, or not the last, is a marker like others.
        if box is not None and box[0] == begin:
            if not box[1].strip():
                continue
            if _BOX_BESIDE.search(text, 0, begin):
                return NoNumber("several boxes")
            return _whole_of(box[1])
        no_numeral = _NO_NUMERAL.match(text, end)
        if no_numeral is not None:
            return NoNumber(f"the answer is another: {excerpt(text, end)}")
        numeral = numeral_at(text, end)
        if numeral is None:
            continue
        # `####` is also a heading of Markdown, and a list can begin on the next line.
        is_heading = text.startswith("####", begin)
        may_be_item = is_heading or "\n" in text[begin:end]
        if may_be_item and _ITEM.match(text, numeral.end):
            continue
        return _answer_with(text, numeral)
    return None


def _whole_of(content: str) -> _Answer:
    """Return the number that a box holds: the only one, or what is behind the last `=`.

    Anything beside it but a unit makes it part of something else.
    """
    begin = content.rfind("=") + 1
    found = [
        numeral
        for numeral in numerals(content, begin, len(content))
        if not _is_passed_over(content, numeral)
    ]
    if not found:
        return NoNumber(f"the answer is another: {excerpt(content, 0)}")
    if len(found) > 1:
        return no_number("several numbers", content, found[0])
    return _answer_with(
        content,
        found[0],
        is_math=True,
    )


def _is_passed_over(
    text: str,
    numeral: Numeral,
) -> bool:
    start, _ = signed_start(text, numeral)
    return is_aside(
        text,
        numeral,
        start=start,
    )


def _answer_with(
    text: str,
    numeral: Numeral,
    *,
    is_math: bool = False,
) -> _Answer:
    """Return the number with its sign, unless it is a part of something larger."""
    start, is_negative = signed_start(text, numeral)
    whole = larger_whole(
        text,
        numeral,
        start=start,
        is_math=is_math,
    )
    if whole is not None:
        return no_number(f"part of {whole}", text, numeral)
    return _Found(
        text=text,
        numeral=numeral,
        is_negative=is_negative,
        is_math=is_math,
    )


def _find_in_json(text: str) -> _Answer | None:
    """Return the only number of the JSON object that the text is or holds.

    Which of several is the answer cannot be told.
    """
    found = numeric_texts(text)
    if len(found) > 1:
        return NoNumber("several numbers in the JSON object")
    return _find_answer(found[0]) if found else None


_BIBLIOGRAPHY = re.compile(r"[ \t]*\[\^?\d+\]:?[ ][^\n]*[^\W\d_]")


def _find_last(text: str) -> _Answer | None:
    end = len(text)
    # Line by line from the end: no need to find every number of a long text.
    while end >= 0:
        newline = text.rfind("\n", 0, end)
        start = newline + 1
        found = []
        if not _BIBLIOGRAPHY.match(text, start, end):
            found = numerals(text, start, end)
        for numeral in reversed(found):
            if not _is_passed_over(text, numeral):
                return _answer_with(text, numeral)
        end = newline
    return None
