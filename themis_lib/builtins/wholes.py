"""What a numeral is a part of: a range, a date, a list, an expression.

All text is in plain notation.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from themis_lib.builtins.numerals import CURRENCIES, Numeral

_Pattern: TypeAlias = re.Pattern[str]
_Reasons: TypeAlias = tuple[tuple[str, _Pattern], ...]

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_UNIT = (
    r"(?:years?|months?|weeks?|days?|hours?|hrs?|h|min(?:ute)?s?|sec(?:ond)?s?|s|m"
    r"|feet|foot|ft|inch(?:es)?|yards?|miles?|km|kilomet(?:er|re)s?|met(?:er|re)s?"
    r"|cm|centimet(?:er|re)s?|mm|pounds?|lbs?|ounces?|oz|kg|kilograms?|g|grams?"
    r"|gallons?|quarts?|pints?|dollars?|euros?|cents?|pence|degrees?"
    r"|[ap]\.?m|hundred|thousand|million|billion|lakhs?|crores?)"
)
#: A number, a variable or a root, with what may open it.
_OPERAND = (
    rf"[ ]*[-+(\[{{√{CURRENCIES}]*[ ]*"
    r"(?:\.?\d|[π√∞\\]|(?<![^\W\d_])[b-hj-zB-HJ-Z](?![^\W\d_]|['’]))"
)
_OPEN = rf"[ ]*[(\[{{{CURRENCIES}]*[ ]*"
_CLOSE = r"[)\]}$]*"
_UNIT_SIGN = r"(?:[ ]?(?:%|°[CF]?|[^\W\d_]{1,3}))?"
_AND = r"(?:and|or|und|oder|et|ou|y|o)"
# Behind a list comes the end of its clause: `1, 2 and 3.`, but not `5, 3 of them`.
_CLAUSE_END = r"[%)\]}$*_]*(?:[ ]*(?:\Z|\n)|[ ]*[)\]};!?]|\.(?:\s|\Z))"
_ITEM = rf"{_OPEN}-?\.?\d++(?:[.,/]\d++)*+[%)\]}}$]*"
_BETWEEN = rf"(?:[ ]*[,;][ ]*(?:{_AND}[ ])?|[ ]{_AND}[ ]|[ ]?[&和][ ]?)"
#: Commands behind a number that do not go on with it.
_NEUTRAL = (
    r"(?:end|tag|label|hspace|vspace|newline|par|item|square|blacksquare|text\w*)"
)

#: Between digits these mean nothing that is known here.
_NO_MARK = r"'`´;|\\!?#&@\""
_OVERLINES = "\u0304\u0305\u0307"

_BEHIND: _Reasons = (
    (
        "digits grouped in an unknown way",
        re.compile(rf"[ \u2009]\d|[.,/{_NO_MARK}]\d"),
    ),
    (
        "a time or a ratio",
        re.compile(
            rf":\d|[ ]:[ ]\d|[年月]\d|[ ]in[ ](?:every[ ])?\d+{_CLAUSE_END}",
        ),
    ),
    (
        "a date",
        re.compile(rf"(?:st|nd|rd|th)?[ ](?:of[ ])?{_MONTH}\b"),
    ),
    (
        "a repeating decimal",
        re.compile(rf"\.?\(\d|\.[ ]*\\|\.?[{_OVERLINES}]"),
    ),
    (
        "a range or a difference",
        re.compile(
            rf"{_CLOSE}{_UNIT_SIGN}[ ]*-{_OPERAND}"
            rf"|[ ]?%?(?:[ ][^\W\d_]+)?[ ](?:or|oder|ou)[ ]+{_OPEN}\d"
            rf"|(?:[ ]?{_UNIT})?[ ]?%?[ ](?:to|bis|à|through)[ ]+{_OPEN}\d"
            r"|[ ]*~[ ]*\d|[ ]?(?:到|至|或|から)[ ]?\d|(?:\.{2,}|…)[ ]?\d"
        ),
    ),
    (
        "an expression",
        re.compile(
            rf"{_CLOSE}(?:[ ]?(?:%|°))?[ ]*(?:[+×÷·±∓]|\+/-){_OPERAND}"
            rf"|{_CLOSE}(?:\*(?![\s*])|[ ]\*[ ]){_OPERAND}"
            rf"|{_CLOSE}[ ]?/[ ]?(?:[-+]*\d|[(√π\\]|[abnqruvwxyz](?![^\W\d_]))"
            rf"|{_CLOSE}\^(?!\{{?(?:st|nd|rd|th)\b)|_[\w{{(]"
            rf"|[ ]?x[ ]?{_OPEN}\d|{_CLOSE}[ ]*\\(?!{_NEUTRAL}\b)[A-Za-z]"
            r"|[)]?\((?=[-+√π\\\d]|[A-Za-z][ ]?[-+*/^)\d])"
            r"|[)]?[ ]*(?:[√π∞]|[θφλαβγδεστωρψχηζκνξ](?![^\W\d_]))"
            r"|[abijnqruvw](?![^\W\d_])|[xyzXYZ]{1,3}(?![^\W\d_])|[ ][xyz](?![\w'’])"
            r"|(?!(?:[kcdm]?m|ft|in|yd)[23]\b)[A-Za-z]+\d"
            r"|[ ](?:plus|minus|times|divided[ ]by|multiplied[ ]by|mod(?:ulo)?)[ ]+"
            rf"{_OPEN}-?\.?\d"
        ),
    ),
    (
        "an inequality",
        re.compile(rf"{_CLOSE}[ ]*(?:<(?!<)|>(?!>)|[≤≥≠])=?{_OPERAND}"),
    ),
    (
        "several numbers",
        re.compile(
            rf"{_CLOSE}%?(?:{_BETWEEN}{_ITEM})+{_CLAUSE_END}"
            rf"|[ ]*(?:[,;]|\b{_AND}\b)[ ]*(?:{_AND}[ ]+)?[A-Za-z](?:_\w)?[ ]*=(?!=)"
        ),
    ),
    (
        "a compound quantity",
        re.compile(
            rf"[ -]?{_UNIT}\.?(?:,|,?[ ]and)?[ ]?\d[\d.,]*[ ]?{_UNIT}\b"
            r"|[ ]and[ ]\d+[ ]cents?\b"
            r"|[ ]and[ ](?:a|one)[ ](?:half|third|quarter|fourth)\b"
            r"|[°'][ ]?\d|[ ](?:ten|hundred|thousand)ths?\b"
        ),
    ),
)
_ELLIPSIS = re.compile(r"\.{3}|…")
_OF_A_POINT = re.compile(
    r"[ ]*,[ ]*(?:[-+(]*[ ]*(?:\.?\d|[π√∞\\]|[A-Za-z](?![A-Za-z])))[^\n]{0,60}?[)\]}]"
)
#: In mathematics letters are factors, but for units.
_FACTOR = re.compile(
    r"!|(?!(?:cm|mm|km|kg|mg|ml|mL|ft|in|yd|mi|lb|oz|hr|ms|Hz|kW|st|nd|rd|th)\b)"
    r"[A-Za-z]{1,2}(?![A-Za-z])"
    r"|[ ]+(?![mgshlLVWNJACF]\b)[A-Za-z](?![A-Za-z])"
)

_RELATION = r"(?<!<)<|(?<![-=>])(?<!(?i:answer))>"
_BEFORE: _Reasons = (
    (
        "digits grouped in an unknown way",
        re.compile(rf"\d[ \u2009{_NO_MARK}]\Z"),
    ),
    (
        "a time or a ratio",
        re.compile(r"\d(?::|[ ]:[ ]|[ ]in[ ](?:every[ ])?)\Z|[年月]\Z"),
    ),
    (
        "a date",
        re.compile(rf"\b{_MONTH}\.?[ ](?:\d{{1,2}}(?:st|nd|rd|th)?,?[ ])?\Z"),
    ),
    ("a repeating decimal", re.compile(rf"[{_OVERLINES}]\Z|\.\(\Z")),
    (
        "a range or a difference",
        re.compile(
            rf"(?:\d{_UNIT_SIGN}|\d[ ]?{_UNIT}|[)\]}}%°π]"
            rf"|(?<![^\W\d_])[b-hj-zB-HJ-Z])[ ]*-{_OPEN}\Z"
            rf"|\d(?:[ ]?{_UNIT}|[^\W\d_]{{0,3}})%?[ ](?:to|or|bis|oder|à|ou|through)[ ]+{_OPEN}\Z"
            rf"|\d[ ][^\W\d_]+[ ]or[ ]+{_OPEN}\Z"
            rf"|\b[Bb]etween\b[^.\n]*\band[ ]+{_OPEN}\Z"
            r"|\d[ ]*~[ ]*\Z|\d[ ]?(?:到|至|或|から)[ ]?\Z|\d(?:\.{2,}|…)[ ]?\Z"
        ),
    ),
    (
        "an expression",
        re.compile(
            rf"(?:[\d)\]}}%°π]|(?<![^\W\d_])[A-Za-z])[ ]*\+{_OPEN}\Z"
            rf"|\w(?:[ ]\+[ ]+|\+){_OPEN}\Z|[\w)\]}}%°$π.][ ]*[×÷·]{_OPEN}\Z"
            rf"|(?:[±∓]|\+/-){_OPEN}\Z|(?:[\d)]\*|(?:[\d)\]}}%°π]|\b[a-z])[ ]\*[ ]){_OPEN}\Z"
            rf"|(?:[\d)\]}}π%]|(?<![A-Za-z])[a-z])[ ]?/{_OPEN}\Z"
            rf"|\d[ ]?x[ ]?{_OPEN}\Z|[√π][ ]*[({{|]*\Z|(?:[\d)]|\b[A-Za-z])\(\Z|(?<!-)--\Z|\A-\Z"
            r"|\\(?!boxed|fbox|text)[A-Za-z]+(?:\[[^\]]*\])?(?:\{[^{}]*\})*\{[^{}]*\Z"
            r"|\\begin\{\w*(?:matrix|array)\}[^\n]*\Z"
            r"|\\?\b(?:sin|cos|tan|log|ln|exp|sqrt|mod)[ ]?[({]?\Z"
            rf"|\b(?:plus|minus|times|divided[ ]by|multiplied[ ]by)[ ]+{_OPEN}\Z"
        ),
    ),
    (
        "an inequality",
        re.compile(
            rf"(?:[\w)\]}}°%][ ]*(?:{_RELATION}|!(?==))|\A[ ]*>|[≤≥≠])=?{_OPEN}\Z"
        ),
    ),
    (
        "several numbers",
        re.compile(
            rf"\d[^\n=]{{0,12}}?(?:[,;]|\b{_AND})[ ]*(?:{_AND}[ ]+)?"
            r"[A-Za-z](?:_\w)?[ ]*=[ ]*-?\Z"
        ),
    ),
)
_LAST_ITEM = re.compile(rf"\d[%$)\]}}]*{_BETWEEN}{_OPEN}\Z")
_LIST_END = re.compile(_CLAUSE_END)
_LAST_OF_A_POINT = re.compile(
    r"[(\[{](?:[^()\[\]{}A-Za-z\n]|(?<![A-Za-z])[A-Za-z](?![A-Za-z])|\\[a-z]+)*,[ ]*\Z"
)
_POINT_END = re.compile(r"[ ]*[)\]}]")
_LAST_PART = re.compile(rf"\d[ -]?{_UNIT}\.?(?:,|,?[ ]and)?[ ]?\Z|[$€£]\d+[ ]and[ ]\Z")
_PART = re.compile(rf"\d[\d.,]*[ -]?{_UNIT}\b")
# Enough for the operator, and for a list or an equation before it.
_BEFORE_CHARS = 80


def larger_whole(
    text: str,
    numeral: Numeral,
    *,
    start: int,
    is_math: bool = False,
) -> str | None:
    """Return what a numeral is only a part of, or `None` if it is a whole number.

    `start` is where its sign begins, `is_math` says that the text is mathematics.
    """
    end = numeral.end
    before = text[max(start - _BEFORE_CHARS, 0) : start]
    before = before[before.rfind("\n") + 1 :]
    for reason, pattern in _BEHIND:
        if pattern.match(text, end):
            return reason
    if _ELLIPSIS.match(text, end) and _has_decimals(numeral):
        return "a repeating decimal"
    # `|-5|` is 5; in a table `|5|` is a cell.
    may_be_absolute = is_math or start < numeral.start
    is_absolute = before.endswith("|") and text.startswith("|", end)
    if may_be_absolute and is_absolute:
        return "an expression"
    if is_math and _has_factor(text, numeral):
        return "an expression"
    return _whole_ahead(before) or _group(text, numeral, before)


def _has_decimals(numeral: Numeral) -> bool:
    value = numeral.value()
    return value is not None and value.denominator > 1


def _has_factor(
    text: str,
    numeral: Numeral,
) -> bool:
    if _FACTOR.match(text, numeral.end):
        return True
    # `$5k` is money, `5k` a product.
    is_money = text[: numeral.start].endswith(tuple(CURRENCIES))
    is_letter = numeral.written[-1] in "kKMBT" and numeral.written[-2:-1].isdigit()
    return is_letter and not is_money


def _whole_ahead(before: str) -> str | None:
    """Return what the text before a numeral makes it a part of."""
    for reason, pattern in _BEFORE:
        if pattern.search(before):
            return reason
    return "an equation" if _is_unsolved(before) else None


def _group(
    text: str,
    numeral: Numeral,
    before: str,
) -> str | None:
    """Return the list, point or compound quantity that a numeral is a part of."""
    end = numeral.end
    if before.endswith(("(", "[", "{")) and _OF_A_POINT.match(text, end):
        return "several numbers"
    if _LAST_ITEM.search(before) and _LIST_END.match(text, end):
        return "several numbers"
    if _LAST_OF_A_POINT.search(before) and _POINT_END.match(text, end):
        return "several numbers"
    if _LAST_PART.search(before) and _PART.match(text, numeral.start):
        return "a compound quantity"
    return None


_RIGHT_SIDE = re.compile(rf"=[ ]*{_OPEN}\Z")
_LEFT_SIDE_BEGINS = re.compile(r"[,;:→$]|[^\W\d_]{2,}")
_PRODUCT = re.compile(r"(?<=[\d)])[ ]?x[ ]?(?=[\d($])")
_INDEX = re.compile(r"_\{?\w+\}?")
_UNKNOWN = re.compile(
    r"\d[abijnqruvwxyz](?![\w(])"
    r"|(?<![\w])[a-z][ ]*[-+*/^·×]"
    r"|[-+*/·×][ ]*(?:[a-z]|\d+[abijnqruvwxyz])(?![\w(])"
)


def _is_unsolved(before: str) -> bool:
    """Return whether a number is what an expression with an unknown equals: `2x = 10`.

    `x = 5` is solved, and in `A = a * b = 15` the first side is what is asked for.
    """
    equals = _RIGHT_SIDE.search(before)
    if equals is None:
        return False
    left = before[: equals.start()]
    if "=" in left:
        return False
    tail = _LEFT_SIDE_BEGINS.split(left)[-1]
    tail = _INDEX.sub("", tail)
    tail = _PRODUCT.sub("×", tail)
    has_digit = any(character.isdigit() for character in tail)
    return has_digit and _UNKNOWN.search(tail) is not None
