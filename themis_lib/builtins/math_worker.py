"""Comparison by math-verify. Run by `bounded/worker.py`; imports nothing of the library.

No verdict depends on the comparisons before it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def prepare() -> None:
    """Load math-verify. Raise `ImportError` if it is missing."""
    import math_verify  # noqa: F401


def answer(
    value: str,
    expected: list[str],
    float_rounding: int,
    strict: bool,
) -> dict[str, Any]:
    """Return whether the value equals one of the expected texts.

    `unreadable` names the side without mathematics, `expected` or `value`, or is
    `None`; then `equal` is a boolean, else `None`.
    """
    from sympy.core.random import seed

    # sympy tests for zero at random points: the same ones for every comparison.
    seed(0)
    return _compare_texts(
        value,
        expected,
        float_rounding=float_rounding,
        strict=strict,
    )


def _compare_texts(
    value: str,
    expected: list[str],
    **settings: Any,
) -> dict[str, Any]:
    from math_verify import verify

    golds = [_parse_text(text) for text in expected]
    # One unreadable reference is a fault of the case: no value can be judged by it.
    if not all(golds):
        return {
            "unreadable": "expected",
            "equal": None,
        }
    answers = _parse_text(value)
    if not answers:
        return {
            "unreadable": "value",
            "equal": None,
        }
    is_equal = False
    for gold in golds:
        # math-verify's own timeout is off: its handler cannot interrupt C code.
        is_same = verify(
            gold,
            answers,
            **settings,
            timeout_seconds=None,
        )
        if is_same and _agree_when_small(
            gold[0],
            answers[0],
            decimals=settings["float_rounding"],
        ):
            is_equal = True
            break
    return {
        "unreadable": None,
        "equal": is_equal,
    }


#: A number is small below this, and where its decimals hold fewer than two digits.
_SMALL = 0.01
#: How far apart small numbers may be: as far as rounding to three digits leaves them.
_REL_TOL = 5e-3


def _agree_when_small(
    gold: Any,
    answer: Any,
    *,
    decimals: int,
) -> bool:
    """Return whether two numbers agree in three digits, or are not small.

    math-verify compares decimals, so that 1e-7 and 2e-7 are the same to it. Anything
    but numbers agrees.
    """
    try:
        left = float(gold)
        right = float(answer)
    # Texts, sets, relations, complex numbers and expressions with variables.
    except (TypeError, ValueError, OverflowError, AttributeError):
        return True
    largest = max(abs(left), abs(right))
    if largest >= min(_SMALL, 10.0 ** (2 - decimals)):
        return True
    return abs(left - right) <= _REL_TOL * largest


# The samples of a case share what is expected of them.
@lru_cache(maxsize=1024)
def _parse_text(text: str) -> list[Any]:
    """Return the expressions in a text."""
    from math_verify import parse

    expressions = parse(
        text,
        parsing_timeout=None,
    )
    return list(expressions)
