r"""One notation for numbers that are written in many.

Digits of other scripts, dashes, LaTeX and HTML become what a calculator would show:
`−５`, `\text{-}5` and `negative 5` are `-5`, `½` and `\frac12` are `1/2`, `10⁻³` is
`10^-3`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from typing import TypeAlias

from themis_lib.builtins.latex import LONE_BRACES, plain_latex
from themis_lib.builtins.numerals import LOOSE_NARROW, NARROW, mixed_number

_Match: TypeAlias = re.Match[str]


def plain_notation(text: str) -> str:
    r"""Return the text with its numbers in plain notation.

    >>> plain_notation("x = −½")
    'x = -1/2'
    >>> plain_notation(r"\dfrac{3}{-4}\text{ m}")
    '-3/4 unit'
    """
    # Tests for a character are fast, and most texts need few of the steps.
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _without_tags(text)
    if not text.isascii():
        text = _plain_characters(text)
    if "\\" in text:
        text = plain_latex(text)
    if "{" in text:
        text = LONE_BRACES.sub(r"\1", text)
    if "**" in text:
        text = _PYTHON_POWER.sub("^", text)
    if "/" in text and " and " in text:
        text = _AND_FRACTION.sub(" ", text)
    if any(word in text for word in _MINUS_WORDS):
        text = _MINUS_WORD.sub(_minus_sign, text)
    return text


_SUPERSCRIPT_TAG = re.compile(r"<sup>\s*([-−+]?\d+)\s*</sup>", re.IGNORECASE)
_SUBSCRIPT_TAG = re.compile(r"<sub>\s*(\w+)\s*</sub>", re.IGNORECASE)
# `<answer>` marks an answer, so it stays.
_TAG = re.compile(
    r"</?(?!answer\b)[A-Za-z][\w-]*(?:\s[^<>]*=[^<>]*)?/?>", re.IGNORECASE
)


def _without_tags(text: str) -> str:
    # GSM8K writes `<<3+4=7>>`, which holds no tag.
    if ">" not in text.replace(">>", ""):
        return text
    text = _SUPERSCRIPT_TAG.sub(r"^{\1}", text)
    text = _SUBSCRIPT_TAG.sub(r"_{\1}", text)
    return _TAG.sub("", text)


_INVISIBLE = "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\ufeff"
_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_DASHES = "‐‑‒–−⁻﹣－"
_APOSTROPHES = "’‘ʼ′`´"
_REPLACEMENTS = {
    "⁄": "/",
    "∕": "/",
    "∗": "*",
    "⋅": "·",
    "∙": "·",
    "〜": "~",
    "٪": "%",
    "﹪": "%",
    # Arabic thousands are told from decimals, unlike `,` and `.`.
    "٬": "'",
    "٫": ".",
    "،": ", ",
    "、": ", ",
    "⟨": "(",
    "⟩": ")",
    "⩽": "≤",
    "⩾": "≥",
    "≦": "≤",
    "≧": "≥",
    "⇒": "→",
    "➔": "→",
}


@cache
def _characters() -> dict[int, str]:
    """Return the plain form of each character that has one."""
    table = dict.fromkeys(map(ord, _INVISIBLE + _DIRECTIONS), "")
    # Full-width forms are 0xFEE0 above those of ASCII.
    for code in range(ord("!"), ord("~") + 1):
        if chr(code) != ",":
            table[code + 0xFEE0] = chr(code)
    for dash in _DASHES:
        table[ord(dash)] = "-"
    for character, plain in _REPLACEMENTS.items():
        table[ord(character)] = plain
    return table


_OTHER_DIGITS = re.compile(r"[^\D0-9]+")
_VULGAR_FRACTION = re.compile("(?P<whole>\\d?)(?P<fraction>[¼-¾⅐-⅞↉])")
# From the first of a run alone: from each of them it would take the square of its length.
_SMALL_FRACTION = re.compile(
    "(?P<whole>\\d?)(?<![⁰¹²³⁴-⁹])(?P<fraction>[⁰¹²³⁴-⁹]+[/⁄][₀-₉]+)"
)
_SUPERSCRIPT = re.compile("(?<=[\\w)\\]}])[⁺⁻]?[⁰¹²³⁴-⁹]+")
_SUBSCRIPT = re.compile("(?<=\\w)(?<![₀-₉])[₀-₉]+")
_WIDE_COMMA = re.compile("(?<=\\d)，(?=\\d{3}(?!\\d))")
_OTHER_SPACE = re.compile(rf"[^\S\n\r\t {NARROW}]")
_NARROW_SPACE = re.compile(r"(?<=\d)[^\S\n\r\t ](?=\d)")
_APOSTROPHE = re.compile(rf"(?<=\d)[{_APOSTROPHES}](?=\d)")
# Between words an em dash is punctuation.
_EM_DASH_OF_SENTENCE = re.compile("(?<=[A-Za-zÀ-֏])[—―](?=\\d)")
_EM_DASH = re.compile("[—―]")


def _plain_characters(text: str) -> str:
    text = _VULGAR_FRACTION.sub(_plain_fraction, text)
    text = _SMALL_FRACTION.sub(_plain_fraction, text)
    text = _SUPERSCRIPT.sub(_plain_power, text)
    text = _SUBSCRIPT.sub(_plain_index, text)
    text = _OTHER_DIGITS.sub(_plain_digits, text)
    # The full-width comma also separates clauses: only groups of three make a number.
    text = _WIDE_COMMA.sub(",", text)
    text = text.replace("，", ", ")
    text = text.translate(_characters())
    text = _EM_DASH_OF_SENTENCE.sub(" ", text)
    text = _EM_DASH.sub("-", text)
    text = _APOSTROPHE.sub("'", text)
    text = _NARROW_SPACE.sub(NARROW, text)
    text = LOOSE_NARROW.sub(" ", text)
    return _OTHER_SPACE.sub(" ", text)


def _plain_fraction(found: _Match) -> str:
    # NFKC writes `½` as `1⁄2`, with a fraction slash.
    fraction = unicodedata.normalize("NFKC", found["fraction"])
    return mixed_number(found["whole"], fraction.replace("⁄", "/"))


def _plain_power(found: _Match) -> str:
    exponent = unicodedata.normalize("NFKC", found[0])
    return "^" + exponent.replace("−", "-").removeprefix("+")


def _plain_index(found: _Match) -> str:
    return "_" + unicodedata.normalize("NFKC", found[0])


def _plain_digits(found: _Match) -> str:
    return "".join(str(unicodedata.decimal(digit)) for digit in found[0])


_PYTHON_POWER = re.compile(r"(?<=\d)\*\*(?=[-+]?\d)")
#: `2 and 1/2` is a mixed number.
_AND_FRACTION = re.compile(r"(?<=\d)[ ]and[ ](?=\d+/\d+(?![\d/]))")
# The first two without their first letter, which may be a capital.
_MINUS_WORDS = ("egative", "inus", "moins", "menos", "минус", "负", "負", "マイナス")
_MINUS_WORD = re.compile(
    r"(?P<before>(?:\b(?:is|are|was|be|to|of|at|by|equals|ist|est|es|gives?|get)[ ]+"
    r"|[=:(\n\[{$][ ]*|\A[ ]*)[*_]*)(?:minus|moins|menos|минус)[ ]+(?=[$€£¥₹(]*\.?\d)"
    r"|\bnegative[ ]+(?=[$€£¥₹({]*\.?\d)|[负負][ ]*(?=\.?\d)|マイナス[ ]*(?=\.?\d)",
    re.IGNORECASE,
)


def _minus_sign(found: _Match) -> str:
    return (found["before"] or "") + "-"
