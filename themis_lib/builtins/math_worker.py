"""The process in which math-verify compares: a line of JSON in, a line of JSON out. It
runs alone, by its path.

The processor time of a comparison is bounded by the operating system, which ends the
process even while a power of huge numbers is computed in C. Nothing of a verdict
depends on the comparisons before it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from functools import lru_cache
from typing import Any, TextIO


def main() -> None:
    """Say whether math-verify is there, then answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    logging.disable()
    try:
        import math_verify  # noqa: F401
    except Exception as error:  # noqa: BLE001 - whatever it is, the other process must hear of it
        _send_message(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    _send_message(answers, {"error": None})
    for line in sys.stdin:
        _send_message(answers, answer(**json.loads(line)))


def answer(
    value: str,
    expected: list[str],
    float_rounding: int,
    strict: bool,
    cpu_s: float,
) -> dict[str, Any]:
    """Whether the value is equal to one of the expected texts, and which sides hold no
    mathematics.
    """
    from sympy.core.random import seed

    seed(0)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        return _compare_expressions(
            value,
            expected,
            float_rounding=float_rounding,
            strict=strict,
        )
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _compare_expressions(
    value: str,
    expected: list[str],
    *,
    float_rounding: int,
    strict: bool,
) -> dict[str, Any]:
    from math_verify import verify

    golds = [_parse_expressions(text) for text in expected]
    if not all(golds):
        return {"unreadable": "expected", "equal": None}
    answers = _parse_expressions(value)
    if not answers:
        return {"unreadable": "value", "equal": None}
    settings: dict[str, Any] = {
        "float_rounding": float_rounding,
        "strict": strict,
        "timeout_seconds": None,
    }
    return {
        "unreadable": None,
        "equal": any(verify(gold, answers, **settings) for gold in golds),
    }


@lru_cache(maxsize=1024)
def _parse_expressions(text: str) -> list[Any]:
    """The expressions in a text; samples of a case share what is expected of them."""
    from math_verify import parse

    return list(parse(text, parsing_timeout=None))


def _send_message(
    answers: TextIO,
    message: dict[str, Any],
) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
