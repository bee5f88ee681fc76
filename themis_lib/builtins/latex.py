r"""Numbers in LaTeX, as they read without it.

`\frac{1}{2}` becomes `1/2`, `9{,}500` becomes `9,500`, and `\text{-}5` becomes `-5`.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from themis_lib.builtins.numerals import LOOSE_NARROW, NARROW, mixed_number

_Match: TypeAlias = re.Match[str]

#: Braces around nothing, a separator, a sign or a number: `9{,}500`, `-{5}`.
LONE_BRACES = re.compile(r"(?<![A-Za-z^_}\]\\])\{\s*+([-+]?[\d.,]*+)\s*+\}")
_SYMBOLS = {
    "times": "×",
    "cdot": "·",
    "ast": "*",
    "div": "÷",
    "pm": "±",
    "mp": "∓",
    "le": "≤",
    "leq": "≤",
    "leqslant": "≤",
    "ge": "≥",
    "geq": "≥",
    "geqslant": "≥",
    "lt": "<",
    "gt": ">",
    "ne": "≠",
    "neq": "≠",
    "approx": "≈",
    "simeq": "≈",
    "sim": "≈",
    "pi": "π",
    "infty": "∞",
    "langle": "(",
    "rangle": ")",
    "sqrt": "√",
    "degree": "°",
    "dots": "…",
    "ldots": "…",
    "cdots": "…",
    "to": "→",
    "rightarrow": "→",
    "Rightarrow": "→",
    "implies": "→",
    "colon": ":",
    "minus": "-",
    "textminus": "-",
    "textdollar": "$",
    "pounds": "£",
    "euro": "€",
    "left": "",
    "right": "",
    "displaystyle": "",
    "limits": "",
    "quad": " ",
    "qquad": " ",
    "thinspace": NARROW,
    "enspace": NARROW,
}
_COMMAND = re.compile(r"\\([A-Za-z]+)(?:\{\})?")
_DEGREES = re.compile(r"\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)\b)")
_STYLED = re.compile(
    r"\\(?:text\w*|math(?:rm|bf|it|sf|tt|bb|cal|normal|ord|bin|rel)|operatorname\*?"
    r"|[mh]box|bold\w*|bm|emph|underline|phantom|color)\s*\{([^{}]*)\}"
)
_LATEX_SPACE = re.compile(r"\\[,;: ]|(?<=\d)~(?=\d{3}(?!\d))|~(?=[^\W\d_]|\\)")
_LONE_MINUS = re.compile(r"\\\([ ]*-[ ]*\\\)|\$-\$")
_ESCAPED = re.compile(r"\\([$%&#_])")
_NUMERATOR = r"(?P<numerator>[-+]?[\d.,]+)"
_DENOMINATOR = r"(?P<denominator>[-+]?[\d.,]+)"
# `2\frac12` is two and a half; a single digit needs no braces.
_LATEX_FRACTION = re.compile(
    r"(?P<sign>-[ ]*)?(?:(?P<whole>\d)[ ]*)?\\(?:[cdt]?frac|[sn]icefrac|sfrac)\s*"
    rf"(?:\{{\s*{_NUMERATOR}\s*\}}|(?P<upper>\d))\s*"
    rf"(?:\{{\s*{_DENOMINATOR}\s*\}}|(?P<lower>\d))"
)
_OVER = re.compile(r"\{\s*([-+]?\d+)\s*\\over\s*(\d+)\s*\}")
#: How often commands are unwrapped that stand in one another.
_DEPTH = 4


def plain_latex(text: str) -> str:
    r"""Return the text with the LaTeX around its numbers in plain notation.

    >>> plain_latex(r"\boxed{-\dfrac{1}{2}\,\text{cm}}")
    '\\boxed{-1/2 cm}'
    """
    text = text.replace("\\!", "")
    for _ in range(_DEPTH):
        unwrapped = _STYLED.sub(_plain_style, text)
        if unwrapped == text:
            break
        text = unwrapped
    text = _DEGREES.sub("°", text)
    text = _LATEX_SPACE.sub(NARROW, text)
    text = LOOSE_NARROW.sub(" ", text)
    text = _LONE_MINUS.sub("-", text)
    text = _COMMAND.sub(_plain_command, text)
    text = _ESCAPED.sub(r"\1", text)
    text = LONE_BRACES.sub(r"\1", text)
    text = _OVER.sub(r"\1/\2", text)
    return _LATEX_FRACTION.sub(_plain_latex_fraction, text)


def _plain_style(found: _Match) -> str:
    content = found[1]
    # In `5\text{m}` the letter is a unit, in `5m` it may be a variable.
    if (
        re.fullmatch(r"[\s~]*[A-Zac-zµΩ][\s~]*", content)
        and content.strip() not in "kKMBT"
    ):
        return " unit"
    return content


def _plain_command(found: _Match) -> str:
    return _SYMBOLS.get(found[1], found[0])


def _plain_latex_fraction(found: _Match) -> str:
    numerator = found["numerator"] or found["upper"]
    denominator = found["denominator"] or found["lower"]
    negatives = (found["sign"] or "", numerator, denominator)
    is_negative = sum("-" in part for part in negatives) % 2 == 1
    fraction = f"{numerator.lstrip('+-')}/{denominator.lstrip('+-')}"
    # A sign inside says nothing about `2\frac{-1}{2}`.
    if found["whole"] and ("-" in numerator or "-" in denominator):
        return found[0]
    sign = "-" if is_negative else ""
    return sign + mixed_number(found["whole"], fraction)
