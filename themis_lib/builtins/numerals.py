"""Numerals in plain notation, and their exact values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

_Match: TypeAlias = re.Match[str]

#: A space that cannot end a number: thin and no-break spaces, LaTeX's `\,` and `~`.
NARROW = "\u2009"
#: A space that ends no group of digits separates, as all spaces do.
LOOSE_NARROW = re.compile(rf"(?<!\d){NARROW}|{NARROW}(?!\d)")
CURRENCIES = "$€£¥₹₩₽"
#: Python refuses to write integers of more than 4,300 digits as text.
LONGEST = 4000

# A plain space groups threes alone: `12 34` is two numbers.
_SPACED = r"\d{1,3}(?:[ ]\d{3})+(?![\d/])(?:[.,]\d+)?"
_JOINED = r"\d+(?:[.,'_\u2009]\d+)*"
_DENOMINATOR = r"-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMERAL = re.compile(
    rf"""
    (?P<code>0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)(?!\w))
    |
    (?P<body>{_SPACED}|{_JOINED}|(?<![\w.])\.\d+)
    (?:
        [eE](?P<scale>[-+]?\d{{1,4}})(?!\w)
      | [ ]?/[ ]?(?P<denominator>{_DENOMINATOR})(?![\d/]|[.,]\d)
      | [ ](?P<numerator>\d+)/(?P<divisor>\d+)(?![\d/]|[.,]\d)
      | (?:[ ]?(?P<times>[×x*·])[ ]?10)?
        [ ]?\^[ ]?[{{(]?(?P<power>[-+]?\d{{1,4}})(?![\d.,]*\d)[)}}]?
    )?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Numeral:
    """A numeral without its sign, and where it stands."""

    written: str
    start: int
    end: int
    _found: _Match
    _factor: int

    def value(
        self,
        *,
        is_math: bool = False,
    ) -> Fraction | None:
        """Return the exact value, or `None`.

        That is for digits that are grouped in no known way, a division by zero, and
        what is too long to be written. In mathematics, `is_math`, a comma separates
        items: `1,5` is no decimal there.
        """
        if self.end - self.start > LONGEST:
            return None
        value = _exact_value(
            self._found,
            is_math=is_math,
        )
        return value if value is None else value * self._factor


def numeral_at(
    text: str,
    position: int,
) -> Numeral | None:
    """Return the numeral that begins at a position, or `None`."""
    found = _NUMERAL.match(text, position)
    return found and _with_magnitude(text, found)


def numerals(
    text: str,
    start: int,
    end: int,
) -> list[Numeral]:
    """Return the numerals of a stretch of text, in order."""
    found = _NUMERAL.finditer(text, start, end)
    return [_with_magnitude(text, match) for match in found]


# In English, German, French, India and East Asia.
_MAGNITUDES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "tausend": 10**3,
    "million": 10**6,
    "millionen": 10**6,
    "mio": 10**6,
    "mn": 10**6,
    "mln": 10**6,
    "billion": 10**9,
    "bn": 10**9,
    "milliard": 10**9,
    "milliarde": 10**9,
    "milliarden": 10**9,
    "mrd": 10**9,
    "trillion": 10**12,
    "lakh": 10**5,
    "crore": 10**7,
    "mil": 10**6,
    "k": 10**3,
    "m": 10**6,
    "b": 10**9,
    "t": 10**12,
    "百": 10**2,
    "千": 10**3,
    "천": 10**3,
    "万": 10**4,
    "萬": 10**4,
    "만": 10**4,
    "億": 10**8,
    "亿": 10**8,
    "억": 10**8,
}
_MAGNITUDE = re.compile(
    r"[ ]?(?P<word>hundred|thousand|tausend|millionen|million|mio|mln|mn|milliarden?"
    r"|milliard|billion|mrd|bn|trillion|lakh|crore)s?(?!\w|-[^\W\d])"
    # A kilogram, a kilometre and a percent are units.
    r"|[ ]?(?P<character>千(?![克米瓦卡焦赫])|百(?!分)|[천万萬만億亿억])"
    # `5m` are metres, and `5b` and `5t` something else.
    r"|(?-i:(?P<letter>[kKMBT]))(?![\w/^-])",
    re.IGNORECASE,
)
_LETTER_OF_MONEY = re.compile(r"[ ]?(?P<letter>mil|[kKmMbBT])(?![\w/^-])")


def _with_magnitude(
    text: str,
    found: _Match,
) -> Numeral:
    start, end = found.span()
    factor = 1
    # More than one in `8 hundred thousand`.
    while magnitude := _magnitude_at(text, start, end):
        word = magnitude[magnitude.lastgroup or 0]
        factor *= _MAGNITUDES[word.lower()]
        end = magnitude.end()
    return Numeral(
        written=text[start:end],
        start=start,
        end=end,
        _found=found,
        _factor=factor,
    )


def _magnitude_at(
    text: str,
    start: int,
    end: int,
) -> _Match | None:
    # Most numerals end a word: nothing to look for.
    behind = text[end : end + 2].lstrip(" ")
    if not behind or not behind[0].isalpha():
        return None
    before = text[max(start - 2, 0) : start].rstrip(" ")
    if before.endswith(tuple(CURRENCIES)):
        money = _LETTER_OF_MONEY.match(text, end)
        if money is not None:
            return money
    return _MAGNITUDE.match(text, end)


def _exact_value(
    found: _Match,
    *,
    is_math: bool,
) -> Fraction | None:
    if found["code"]:
        return Fraction(int(found["code"], 0))
    body = found["body"]
    if not body.isdigit():
        plain = plain_decimal(body)
        is_list = is_math and _is_decimal_comma(body)
        if plain is None or is_list:
            return None
        body = plain
    value = Fraction(body)
    # Nothing behind the body: most numerals are no fractions.
    if found.end() == found.end("body"):
        return value
    return _scaled_value(found, value)


def _scaled_value(
    found: _Match,
    value: Fraction,
) -> Fraction | None:
    """Return the value of a fraction or a numeral with an exponent.

    Return `None` for a division by zero and for more digits than Python can write.
    `value` is that of the body.
    """
    try:
        if found["denominator"]:
            denominator = found["denominator"].replace(",", "")
            return value / int(denominator)
        if found["divisor"]:
            numerator = int(found["numerator"])
            divisor = int(found["divisor"])
            return value + Fraction(numerator, divisor)
        written = found["scale"] or found["power"]
        exponent = int(written)
        # `2^10` is a power; `1e5` and `2 × 10^3` are scaled by a power of ten.
        is_power = found["power"] is not None
        if is_power and found["times"] is None:
            digits = abs(exponent) * len(found["body"])
            # Estimated first: the power itself could fill the memory.
            return value**exponent if digits <= LONGEST else None
        if abs(exponent) > LONGEST:
            return None
        return value * Fraction(10) ** exponent
    except ZeroDivisionError:
        return None


_DECIMAL = re.compile(r"\d*\.\d+")
# One mark between all groups, which begin with no zero.
_GROUPED = re.compile(
    r"(?P<whole>[1-9]\d{0,2}(?P<mark>[.,'_ \u2009])\d{3}(?:(?P=mark)\d{3})*)"
    r"(?:(?P<point>[.,])(?P<decimals>\d+))?"
)
# Twos above the thousands, as in India: `12,34,567`.
_LAKHS = re.compile(r"(?P<whole>[1-9]\d?(?:,\d{2})+,\d{3})(?:\.(?P<decimals>\d+))?")
_DECIMAL_COMMA = re.compile(r"(?P<whole>\d+),(?P<decimals>\d+)")
_NO_DIGIT = re.compile(r"\D")


def plain_decimal(written: str) -> str | None:
    """Return digits in groups as plain digits, with a decimal point.

    Return `None` for what no convention writes, or two in different ways.

    >>> plain_decimal("1,234.5"), plain_decimal("1.234,5"), plain_decimal("1,00,000")
    ('1234.5', '1234.5', '100000')
    >>> plain_decimal("3,14"), plain_decimal("1,2,3"), plain_decimal("1.2.3")
    ('3.14', None, None)
    """
    if written.isdigit() or _DECIMAL.fullmatch(written):
        return written
    found = _GROUPED.fullmatch(written)
    # With `1.234.567` and `1.234,5` the marks are told; `1.234` is a decimal.
    if found and found["mark"] == found["point"]:
        return None
    if found is None:
        found = _LAKHS.fullmatch(written)
    if found is None and _is_decimal_comma(written):
        found = _DECIMAL_COMMA.fullmatch(written)
    if found is None:
        return None
    whole = _NO_DIGIT.sub("", found["whole"])
    decimals = found["decimals"]
    return f"{whole}.{decimals}" if decimals else whole


def _is_decimal_comma(written: str) -> bool:
    found = _DECIMAL_COMMA.fullmatch(written)
    if found is None or _GROUPED.fullmatch(written):
        return False
    whole, decimals = found["whole"], found["decimals"]
    # `1234,567` lacks a comma or has a decimal one; `1,0000` may count myriads.
    has_two_meanings = len(whole) > 3 and len(decimals) == 3
    return not has_two_meanings and decimals != "0000"


def mixed_number(
    whole: str | None,
    fraction: str,
) -> str:
    """Return a whole number, if any, and a fraction as one number."""
    if not whole:
        return fraction
    # Without the space `3½` would become `31/2`.
    return f"{whole} {fraction}"
