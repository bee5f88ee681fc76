"""The number that a text ends on or marks as its answer."""

from __future__ import annotations

import math
import re
import unicodedata
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from themis_lib.builtins.markers import IS, compile_markers, marked

Percent: TypeAlias = Literal["number", "fraction"]


def read_number(
    value: Any,
    *,
    percent: Percent = "number",
) -> int | float | None:
    r"""The number that a JSON number is or a text ends on; null where there is none.

    The number directly behind the last marker of an answer (`####`, `answer is`,
    `Answer:`, `\boxed{`, a line that begins with `A:`) goes before the last number of
    the text. Read are `1,234.50`, `1e5`, `1/2`, `3 1/2`, `\frac{1}{2}`, `10^3`, `2 ×
    10^3`; currencies and units are dropped, and words such as `billion`. A minus behind
    another number subtracts; digits of a word (`GPT-4`, `x_1`) or an exponent (`cm^2`)
    are no number. `12%` is 12, as GSM8K writes percentages, or 0.12 with
    `percent="fraction"`.

    >>> [read_number(text) for text in ("16 - 3 = 13", "A: $1,234.50", "The answer is -3. It took 2 s.")]
    [13, 1234.5, -3]
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if value.is_integer():
            return int(
                Fraction(repr(value))
            )  # 1e23 is 10**23 as it is written, not as it is stored
        return value if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = _plain_fractions(value)
    found = _marked_number(text) or _last_number(text)
    return None if found is None else _number_value(text, found, percent=percent)


_LATEX_FRACTION = re.compile(
    r"(\d?)\\[dt]?frac\s*(?:\{\s*([-−]?[\d.,]+)\s*\}|(\d))\s*(?:\{\s*([\d,]+)\s*\}|(\d))"
)
_VULGAR_FRACTION = re.compile("(\\d?)([¼-¾⅐-⅞])")


def _plain_fractions(text: str) -> str:
    """The text with LaTeX's and Unicode's fractions and separators written as `1/2` and
    `1,234`.
    """
    if "{,}" in text:
        text = text.replace("{,}", ",")
    if "\\" in text:
        text = text.replace("\\,", "").replace("\\!", "")
        if "frac" in text:
            text = _LATEX_FRACTION.sub(
                lambda m: f"{m[1]}{m[1] and ' '}{m[2] or m[3]}/{m[4] or m[5]}", text
            )
    if not text.isascii():
        text = _VULGAR_FRACTION.sub(
            lambda m: (
                f"{m[1]}{m[1] and ' '}{unicodedata.normalize('NFKC', m[2]).replace('⁄', '/')}"
            ),
            text,
        )
    return text


_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"""
    (?P<body>{_WHOLE}(?:\.\d+)?|(?<![\w.])\.\d+)
    (?:
        [eE](?P<scale>[-+−]?\d{{1,4}})(?!\w)
      | [ ]?/[ ]?(?P<denominator>{_WHOLE})(?![\d/]|\.\d)
      | [ ](?P<numerator>\d+)/(?P<divisor>\d+)(?![\d/]|\.\d)
      | (?:[ ]?(?P<times>[×x*]|\\times|\\cdot)[ ]?10)?[ ]?\^[ ]?\{{?(?P<power>[-−]?\d{{1,4}})(?!\d)\}}?
    )?
    """,
    re.VERBOSE,
)

#: What may stand between a marker and its answer: punctuation, markup, currencies,
#: signs.
_GAP = r"(?:[\s*_`\"'“‘(\[{:~≈=$€£¥₹+\-−–]|\\[(\[$]|\\(?:text\w*|math\w+)\b)*"
#: A calculation in front of its result: `2 * 9 = 18`, `x = 18`.
_CALCULATION = r"(?:[A-Za-z]?[ \t\d.,+\-−–*/×÷x^()$€£¥₹%=]*=)?"
_MARKERS = compile_markers(
    {"nswer": rf"(?<!/[aA])nswers?{IS}", "NSWER": rf"(?<!/A)NSWERS?(?i:{IS})"},
    gap=_GAP + _CALCULATION + _GAP,
)
#: The rest of a date, a version or a quotient of decimals behind its first number.
_GOES_ON = re.compile(r"[/.]\d")
#: A number that counts the items of a list: `2. Add the prices`.
_ITEM = re.compile(r"[.):]\s+[^\W\d]")


def _marked_number(text: str) -> re.Match[str] | None:
    for begin, end in marked(text, _MARKERS):
        number = _NUMBER.match(text, end)
        if number is None or _GOES_ON.match(text, number.end()):
            continue
        heading = text.startswith("####", begin) or "\n" in text[begin:end]
        if not (heading and _ITEM.match(text, number.end())):
            return number
    return None


def _last_number(text: str) -> re.Match[str] | None:
    end = len(text)
    while end >= 0:
        start = text.rfind("\n", 0, end) + 1
        for number in reversed(list(_NUMBER.finditer(text, start, end))):
            if _stands_alone(text, number.start()) and not _GOES_ON.match(
                text, number.end()
            ):
                return number
        end = start - 1
    return None


_ALPHABETS_END = "\u0590"


def _stands_alone(
    text: str,
    start: int,
) -> bool:
    """Whether the digits at `start` are no part of a word, an index, an exponent, a
    date or a version.
    """
    before = text[max(start - 3, 0) : start]
    last, previous = before[-1:], before[-2:-1]
    if last.isalpha():
        return last >= _ALPHABETS_END  # scripts without spaces between words come later
    if last in ("-", "_"):
        return not (
            previous.isalpha() or previous == "^" or before.endswith(("^{-", "_{-"))
        )
    if last in (".", "/"):
        return not previous.isdigit()
    return last != "^" and before[-2:] not in ("^{", "_{", "^−")


_CURRENCIES = "$€£¥₹"
_MINUS = ("-", "−", "–")


def _is_negative(
    text: str,
    start: int,
) -> bool:
    """Whether the minus before the number at `start` is its sign: no subtraction,
    hyphen or bullet.
    """
    before = text[max(start - 16, 0) : start].rstrip(_CURRENCIES + "\\")
    if before.endswith(_MINUS):
        before = before[:-1]
        operand = before.rstrip(" ")[-1:]
        return not (
            before[-1:].isalnum() or operand.isdigit() or operand in tuple(")]}%")
        )
    before = before.rstrip(" ")
    return before.endswith(_MINUS) and before[:-1].rstrip(" ").endswith(("=", ":", "("))


_PERCENT = re.compile(r"[ ]?\\?%")
#: Python refuses to write longer integers as text.
_LONGEST = 4000


def _number_value(
    text: str,
    number: re.Match[str],
    *,
    percent: Percent,
) -> int | float | None:
    if len(number[0]) > _LONGEST:
        return None
    is_negative = _is_negative(text, number.start())
    is_percentage = (
        percent == "fraction" and _PERCENT.match(text, number.end()) is not None
    )
    body = number["body"].replace(",", "")
    if number.end() == number.end("body") and not is_percentage:
        whole, _, decimals = body.partition(".")
        value = float(body) if decimals.strip("0") else int(whole or "0")
        return None if value == math.inf else -value if is_negative and value else value
    exact = _exact_value(number, Fraction(body))
    if exact is None:
        return None
    exact = -exact if is_negative else exact
    return _json_number(exact / 100 if is_percentage else exact)


def _exact_value(
    number: re.Match[str],
    value: Fraction,
) -> Fraction | None:
    """The value of a fraction or a number with an exponent; null where there is none
    that can be written.
    """
    try:
        if number["denominator"]:
            return value / int(number["denominator"].replace(",", ""))
        if number["divisor"]:
            return value + Fraction(int(number["numerator"]), int(number["divisor"]))
        exponent = int((number["scale"] or number["power"] or "0").replace("−", "-"))
        is_power = number["power"] is not None and number["times"] is None
        if abs(exponent) * (len(number["body"]) if is_power else 1) > _LONGEST:
            return None
        return value**exponent if is_power else value * Fraction(10) ** exponent
    except ZeroDivisionError:
        return None


def _json_number(value: Fraction) -> int | float | None:
    if value.denominator == 1:
        return value.numerator
    try:
        return float(value) or 0
    except OverflowError:
        return None
