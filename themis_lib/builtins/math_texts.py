r"""What models and data sets put around mathematics.

Marks of Markdown, currencies, units, thousands separators and typography say nothing
about the mathematics.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeAlias

_Match: TypeAlias = re.Match[str]
_Replacement: TypeAlias = str | Callable[[_Match], str]
_Rewrite: TypeAlias = tuple[re.Pattern[str], _Replacement]


def _joined(match: _Match) -> str:
    return "".join(match[0].split())


# The length of what is in bold has a limit, or many unclosed marks would take the
# square of the text's length.
_MARKS: tuple[_Rewrite, ...] = (
    (re.compile(r"```[a-z]*\n|`"), ""),
    (
        re.compile(
            r"(?<![\w*)\]}])\*{2,3}(?=[^\s*])([^\n]{1,200}?)(?<=[^\s*])\*{2,3}(?![\w*(\[{])"
        ),
        r"\1",
    ),
    (re.compile(r"(?<!\w)__(?=[^\s_])([^\n_]{1,200})(?<=\S)__(?!\w)"), r"\1"),
    (re.compile(r"\A\s*\*(?=[^\s*])([^*]+)(?<=\S)\*\s*\Z"), r"\1"),
)
_CURRENCIES: tuple[_Rewrite, ...] = (
    (
        re.compile(
            r"\\text\{\s*\\\$\s*\}|\{\\\$\}|(?:\bUS)?\\\$|\\(?:pounds|euro)(?![a-z])"
        ),
        "",
    ),
    (re.compile(r"(?<!\w)US(?=\$\d)"), ""),
    (re.compile(r"(?<!\w)[€£¥₹](?=\s*[-−]?[\d.])|(?<=\d)[ ~]?[€£¥₹]"), ""),
)
_SEPARATORS: tuple[_Rewrite, ...] = (
    (
        re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\[,;! ])(?=\d{3}(?!\d))"),
        "",
    ),
    (re.compile(r"(?<![\d.])(\d{1,3}(?:[   ]\d{3})+)(?![\d/])"), _joined),
)


def _superscript(match: _Match) -> str:
    digits = _plain_form(match).replace("−", "-")
    return f"^{{{digits}}}"


def _subscript(match: _Match) -> str:
    return f"_{{{_plain_form(match)}}}"


def _fraction(match: _Match) -> str:
    numerator, _, denominator = _plain_form(match).partition("⁄")
    return rf"\frac{{{numerator}}}{{{denominator}}}"


def _plain_form(match: _Match) -> str:
    return unicodedata.normalize("NFKC", match[0])


# The longest exponent of ten that is written out.
_MOST_ZEROS = 300


def _decimal(match: _Match) -> str:
    """Return a number in scientific notation with all its digits, which are exact."""
    exponent = match["power"] or match["exponent"]
    if len(exponent) > 5 or abs(int(exponent)) > _MOST_ZEROS:
        return match[0]
    value = Decimal(f"{match['body']}e{exponent}")
    return f"{value:f}"


_SYMBOLS = str.maketrans(
    {
        "−": "-",
        "×": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "÷": r"\div ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "π": r"\pi ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "√": r"\sqrt ",
        "∛": r"\sqrt[3] ",
        "≈": r"\approx ",
        "⁄": "/",
    }
)
_TYPOGRAPHY: tuple[_Rewrite, ...] = (
    (re.compile("[！-～]+"), _plain_form),
    (re.compile("[⁰¹²³⁴-⁹⁺⁻]+"), _superscript),
    (re.compile("[₀-₉]+"), _subscript),
    (re.compile("[¼-¾⅐-⅞]"), _fraction),
    (re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-zπ])"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*\(([^()]{1,200})\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?:∛|\\sqrt\[3\])\s*(\d+(?:\.\d+)?|[A-Za-z])"), r"\\sqrt[3]{\1}"),
    (re.compile(r"(?<=[\w)])\*\*\{?(-?\d+)\}?"), r"^{\1}"),
    (re.compile(r"(?<=[\w)])\*\*(?=[\w(])"), "^"),
    (re.compile(r"\\lbrace(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![A-Za-z])"), r"\\}"),
    (re.compile(r"(?<=\d)\s*\^\{?o\}?(?![A-Za-z])"), r"^\\circ"),
    (re.compile(r"\\[bB]igg?[lrm]?(?![A-Za-z])"), ""),
    (re.compile(r"\\(?:display|text|script)style(?![A-Za-z])"), ""),
    (re.compile(r"\\(?:text)?color\{[a-zA-Z]+\}"), ""),
    (re.compile(r"\\tag\{[^{}]*\}"), ""),
    (
        re.compile(r"\\(?:underline|boldsymbol|bm|mathbf|mathsf|mathit)\{([^{}]*)\}"),
        r"{\1}",
    ),
    (re.compile(r"\\varnothing(?![A-Za-z])"), r"\\emptyset"),
    # `6.02e23` would be a product with Euler's number, and as a product with a power of
    # ten it would be rounded.
    (
        re.compile(
            r"(?<![\w.\\^])(?<!\^\{)(?P<body>\d+(?:\.\d+)?)"
            r"(?:[eE](?P<exponent>[-+]?\d+)(?![\w.])"
            r"|\s*(?:\\times|\\cdot|×|·)\s*10\^(?:\{(?=-?\d+\}))?(?P<power>-?\d+)\}?)"
        ),
        _decimal,
    ),
    # `2 1/2` is two and a half.
    (
        re.compile(r"(?<![\w./^}])(\d+)[ ~]+(\d+)/(\d+)(?![\w/])"),
        r"\1\\frac{\2}{\3}",
    ),
    # A number with its unit, alone: `5 cm^2`, `20 dollars`. Of shorter words only known
    # units, since `2 xy` is a product.
    (
        re.compile(
            r"\A\s*([-+]?[\d.,/]+)\s*"
            r"(?!(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|infinity|percent|and|mod)\b)"
            r"(?:[A-Za-z]{3,}|cm|mm|km|kg|mg|ml|mL|ft|mi|hr|in"
            r"|(?:k|c|m)?m/(?:s|h|hr|min))"
            r"(?:\^\{?[23]\}?)?\.?\s*\Z"
        ),
        r"\1",
    ),
)


def without_marks(text: str) -> str:
    r"""Return a text without Markdown, currencies and thousands separators.

    >>> without_marks("**73**"), without_marks(r"\$32{,}348"), without_marks("2**3")
    ('73', '32348', '2**3')
    """
    text = _rewritten(text, (*_MARKS, *_CURRENCIES, *_SEPARATORS))
    # A dollar sign without a partner is a currency.
    if text.count("$") == 1:
        text = text.replace("$", "")
    return text


def as_latex(text: str) -> str:
    r"""Return an expression in the LaTeX that math-verify reads.

    >>> as_latex("x²"), as_latex("6.02e23"), as_latex("2 1/2"), as_latex("5 cm^2")
    ('x^{2}', '602000000000000000000000', '2\\frac{1}{2}', '5')
    """
    text = text.strip().removesuffix(".")
    return _rewritten(text, _TYPOGRAPHY).translate(_SYMBOLS)


def _rewritten(
    text: str,
    rewrites: Iterable[_Rewrite],
) -> str:
    for pattern, replacement in rewrites:
        text = pattern.sub(replacement, text)
    return text
