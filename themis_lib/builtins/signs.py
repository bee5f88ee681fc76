"""The sign of a numeral, told from hyphens, dashes and subtractions.

All text is in plain notation.
"""

from __future__ import annotations

import re

from themis_lib.builtins.numerals import CURRENCIES, Numeral

# Latin, Greek, Cyrillic and Armenian come before; Hebrew is the first block behind.
ALPHABETS_END = "\u0590"
# Enough for a sign, a currency and the spaces around them.
_SIGN_CHARS = 24
_CURRENCY_CODE = re.compile(r"(?<=-)(?:[A-Z]{1,3}|Rs\.?)[ ]?\Z")
_SPACED_SIGN = re.compile(
    r"(?:[=:(\[{#→$≈]|\b(?:is|are|was|be|equals|to|ist|est|es))[ ]+-[ ]+\Z"
)
_SPACED_SIGN_OPENED = re.compile(r"[=:(\[{$]-[ ]+\Z")
#: A letter alone that ends a text.
VARIABLE_BEFORE = re.compile(r"(?<![^\W\d_])[b-hj-zB-HJ-Z]\Z")


def signed_start(
    text: str,
    numeral: Numeral,
) -> tuple[int, bool]:
    """Return where a numeral begins with its sign, and whether that is a minus.

    A subtraction, a hyphen or the bullet of a list is no sign.
    """
    start = numeral.start
    before = text[max(start - _SIGN_CHARS, 0) : start]
    # `-$5`, `-USD 5` and `-(5)`.
    bare = before.rstrip(CURRENCIES)
    bare = _CURRENCY_CODE.sub("", bare)
    if not bare.endswith("-"):
        opened = bare.rstrip("([{" + CURRENCIES)
        if opened.endswith("-"):
            bare = opened
    if bare.endswith("-"):
        sign = start - len(before) + len(bare) - 1
        if _is_operator(bare[:-1]):
            return start, False
        return sign, True
    # A minus with a space behind it is a sign only after these: `x = - 3`.
    is_sign = _SPACED_SIGN.search(bare) or _SPACED_SIGN_OPENED.search(bare)
    # As the whole text `- 5` is no list.
    is_all = bare.strip() == "-" and not text[numeral.end :].strip(" .\n")
    if is_sign or (is_all and start <= _SIGN_CHARS):
        sign = start - len(before) + bare.rindex("-")
        return sign, True
    return start, False


def _is_operator(before: str) -> bool:
    """Return whether a minus directly before a number subtracts, or joins words."""
    last = before[-1:]
    if last.isalpha() and last < ALPHABETS_END:
        return True
    last = before.rstrip(" ")[-1:]
    if last.isdigit() or last in tuple(")]}%°π"):
        return True
    return VARIABLE_BEFORE.search(before.rstrip(" ")) is not None
