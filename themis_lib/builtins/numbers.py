"""The number that a text ends on or marks as its answer."""

from __future__ import annotations

import math
import re
import unicodedata
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from themis_lib.builtins.markers import all_markers, marked

Percent: TypeAlias = Literal["number", "fraction"]
_Match: TypeAlias = re.Match[str]
_Number: TypeAlias = int | float


def read_number(
    value: Any,
    *,
    percent: Percent = "number",
) -> _Number | None:
    r"""Return a JSON number, or the number that a text ends on; `None` without one.

    The number directly behind the last marker of an answer (`####`, `answer is`,
    `Answer:`, `\boxed{`, a line that begins with `A:`) takes precedence over the last
    number of the text. Whole numbers are integers, others floats.

    Formats are `1,234.50`, `1e5`, `1/2`, `3 1/2`, `\frac{1}{2}`, `10^3` and `2 × 10^3`.
    Currencies, units and words such as `billion` are ignored. A minus behind another
    number subtracts. Digits of a word (`GPT-4`, `x_1`) or an exponent (`cm^2`) are no
    number. `12%` is 12, as GSM8K writes percentages, or 0.12 with
    `percent="fraction"`.

    >>> read_number("16 - 3 = 13")
    13
    >>> read_number("A: $1,234.50")
    1234.5
    >>> read_number("The answer is -3. It took 2 s.")
    -3
    """
    # In Python `True` is an integer, in JSON it is not a number.
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if value.is_integer():
            # 1e23 is 10**23 as it is written, but not as a float stores it.
            return int(Fraction(repr(value)))
        return value if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = _plain_fractions(value)
    found = _find_marked_number(text)
    if found is None:
        found = _find_last_number(text)
    if found is None:
        return None
    return _number_value(
        text,
        found,
        percent=percent,
    )


# `2\frac12` is two and a half; a single digit needs no braces.
_LATEX_FRACTION = re.compile(
    r"(?P<whole>\d?)\\[dt]?frac\s*"
    r"(?:\{\s*(?P<numerator>[-−]?[\d.,]+)\s*\}|(?P<upper>\d))\s*"
    r"(?:\{\s*(?P<denominator>[\d,]+)\s*\}|(?P<lower>\d))"
)
_VULGAR_FRACTION = re.compile("(?P<whole>\\d?)(?P<fraction>[¼-¾⅐-⅞])")


def _plain_fractions(text: str) -> str:
    r"""Return the text with fractions as `1/2` and separators as in `1,234`.

    Converted are LaTeX's `\frac{1}{2}`, `{,}`, `\,` and `\!`, and Unicode's `½`.
    """

    def latex_as_plain(found: _Match) -> str:
        numerator = found["numerator"] or found["upper"]
        denominator = found["denominator"] or found["lower"]
        fraction = f"{numerator}/{denominator}"
        return _mixed_number(found["whole"], fraction)

    def vulgar_as_plain(found: _Match) -> str:
        # NFKC writes `½` as `1⁄2`, with a fraction slash.
        normal = unicodedata.normalize("NFKC", found["fraction"])
        fraction = normal.replace("⁄", "/")
        return _mixed_number(found["whole"], fraction)

    # Tests for a character are fast, and most texts need none of the substitutions.
    if "{,}" in text:
        text = text.replace("{,}", ",")
    if "\\" in text:
        text = text.replace("\\,", "")
        text = text.replace("\\!", "")
        if "frac" in text:
            text = _LATEX_FRACTION.sub(latex_as_plain, text)
    if not text.isascii():
        text = _VULGAR_FRACTION.sub(vulgar_as_plain, text)
    return text


def _mixed_number(
    whole: str,
    fraction: str,
) -> str:
    if not whole:
        return fraction
    # Without the space `3½` would become `31/2`.
    return f"{whole} {fraction}"


# Groups of three behind commas, or digits alone: `1,2,3` is three numbers.
_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"""
    (?P<body>{_WHOLE}(?:\.\d+)?|(?<![\w.])\.\d+)
    (?:
        [eE](?P<scale>[-+−]?\d{{1,4}})(?!\w)
      | [ ]?/[ ]?(?P<denominator>{_WHOLE})(?![\d/]|\.\d)
      | [ ](?P<numerator>\d+)/(?P<divisor>\d+)(?![\d/]|\.\d)
      | (?:[ ]?(?P<times>[×x*]|\\times|\\cdot)[ ]?10)?
        [ ]?\^[ ]?\{{?(?P<power>[-−]?\d{{1,4}})(?!\d)\}}?
    )?
    """,
    re.VERBOSE,
)

#: What may be between a marker and its answer: punctuation, markup, currencies, signs.
_GAP = (
    r"(?:[\s*_`\"'“‘(\[{:~≈=$€£¥₹+\-−–]"
    r"|\\[(\[$]"
    r"|\\(?:text\w*|math\w+)\b)*"
)
#: A calculation in front of its result: `2 * 9 = 18`, `x = 18`.
_CALCULATION = r"(?:[A-Za-z]?[ \t\d.,+\-−–*/×÷x^()$€£¥₹%=]*=)?"
_MARKERS = all_markers(
    {},
    gap=_GAP + _CALCULATION + _GAP,
)
#: The rest of a date, a version or a quotient of decimals behind its first number.
_GOES_ON = re.compile(r"[/.]\d")
#: A number that counts the items of a list: `2. Add the prices`.
_ITEM = re.compile(r"[.):]\s+[^\W\d]")


def _find_marked_number(text: str) -> _Match | None:
    for begin, end in marked(text, _MARKERS):
        number = _NUMBER.match(text, end)
        if number is None:
            continue
        behind = number.end()
        if _GOES_ON.match(text, behind):
            continue
        # `####` is also a heading of Markdown, and a list can begin on the next line.
        is_heading = text.startswith("####", begin)
        may_be_item = is_heading or "\n" in text[begin:end]
        if may_be_item and _ITEM.match(text, behind):
            continue
        return number
    return None


def _find_last_number(text: str) -> _Match | None:
    end = len(text)
    # Line by line from the end: no need to find every number of a long text.
    while end >= 0:
        newline = text.rfind("\n", 0, end)
        start = newline + 1
        numbers = list(_NUMBER.finditer(text, start, end))
        for number in reversed(numbers):
            if _GOES_ON.match(text, number.end()):
                continue
            if _stands_alone(text, number.start()):
                return number
        end = newline
    return None


# Latin, Greek, Cyrillic and Armenian come before; Hebrew is the first block behind.
_ALPHABETS_END = "\u0590"


def _stands_alone(
    text: str,
    start: int,
) -> bool:
    """Return whether the digits at `start` are a number, not part of something else.

    Parts are digits of a word, an index, an exponent, a date or a version.
    """
    earliest = max(start - 3, 0)
    before = text[earliest:start]
    last = before[-1:]
    previous = before[-2:-1]
    if last.isalpha():
        # Later scripts, such as Chinese, have no spaces between words.
        return last >= _ALPHABETS_END
    if last in ("-", "_"):
        # `GPT-4`, `10^-2` and `x_{-1}`, but not the subtraction in `16 -3`.
        if previous.isalpha() or previous == "^":
            return False
        return not before.endswith(("^{-", "_{-"))
    if last in (".", "/"):
        return not previous.isdigit()
    if last == "^":
        return False
    return before[-2:] not in ("^{", "_{", "^−")


_CURRENCIES = "$€£¥₹"
_MINUS = ("-", "−", "–")
# Enough for a sign, a currency and the spaces around them.
_SIGN_CHARS = 16


def _is_negative(
    text: str,
    start: int,
) -> bool:
    """Return whether a minus before the number at `start` is its sign.

    A subtraction, a hyphen or the bullet of a list is none.
    """
    earliest = max(start - _SIGN_CHARS, 0)
    before = text[earliest:start]
    # `-$5` and `-\$5`.
    before = before.rstrip(_CURRENCIES + "\\")
    if before.endswith(_MINUS):
        before = before[:-1]
        # A letter or digit directly before it makes a hyphen or a range: `5-10`.
        if before[-1:].isalnum():
            return False
        before = before.rstrip(" ")
        if before[-1:].isdigit():
            return False
        return not before.endswith((")", "]", "}", "%"))
    # A minus with a space behind it is a sign only after these: `x = - 3`.
    before = before.rstrip(" ")
    if not before.endswith(_MINUS):
        return False
    before = before[:-1]
    return before.rstrip(" ").endswith(("=", ":", "("))


_PERCENT = re.compile(r"[ ]?\\?%")
#: Python refuses to write integers of more than 4,300 digits as text.
_LONGEST = 4000


def _number_value(
    text: str,
    number: _Match,
    *,
    percent: Percent,
) -> _Number | None:
    """Return the value of a number with its sign, or `None` if it is out of range."""
    if len(number[0]) > _LONGEST:
        return None
    is_negative = _is_negative(text, number.start())
    is_percentage = False
    if percent == "fraction":
        is_percentage = _PERCENT.match(text, number.end()) is not None
    body = number["body"].replace(",", "")
    # Nothing behind the body: most numbers need no fractions, which are slow.
    is_plain = number.end() == number.end("body")
    if is_plain and not is_percentage:
        return _decimal_value(body, is_negative=is_negative)
    exact = _exact_value(number, Fraction(body))
    if exact is None:
        return None
    if is_negative:
        exact = -exact
    if is_percentage:
        exact = exact / 100
    if exact.denominator == 1:
        return exact.numerator
    try:
        # A value too small for a float is 0, an integer like every whole number.
        return float(exact) or 0
    except OverflowError:
        return None


def _decimal_value(
    body: str,
    *,
    is_negative: bool,
) -> _Number | None:
    whole, _, decimals = body.partition(".")
    value: _Number
    if decimals.strip("0"):
        value = float(body)
    else:
        # `18.00` is whole; `.0` has no digits before the point.
        value = int(whole or "0")
    if value == math.inf:
        return None
    # JSON tells -0.0 from 0.
    if is_negative and value:
        return -value
    return value


def _exact_value(
    number: _Match,
    value: Fraction,
) -> Fraction | None:
    """Return the value of a fraction or a number with an exponent.

    Return `None` for a division by zero and for more digits than Python can write.
    `value` is that of the body.
    """
    try:
        if number["denominator"]:
            denominator = number["denominator"].replace(",", "")
            return value / int(denominator)
        if number["divisor"]:
            numerator = int(number["numerator"])
            divisor = int(number["divisor"])
            return value + Fraction(numerator, divisor)
        written = number["scale"] or number["power"] or "0"
        exponent = int(written.replace("−", "-"))
        # `2^10` is a power; `1e5` and `2 × 10^3` are scaled by a power of ten.
        is_power = number["power"] is not None
        if is_power and number["times"] is None:
            digits = abs(exponent) * len(number["body"])
            # Estimated first: the power itself could fill the memory.
            return value**exponent if digits <= _LONGEST else None
        if abs(exponent) > _LONGEST:
            return None
        return value * Fraction(10) ** exponent
    except ZeroDivisionError:
        return None
