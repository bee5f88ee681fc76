"""The process in which math-verify compares: a line of JSON in, a line of JSON out.

It is run by its path and imports nothing of the library.

The operating system bounds the processor time of a comparison: it ends the process even
while C code computes a power of huge numbers. No verdict depends on the comparisons
before it.
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
    """Report whether math-verify can be loaded, then answer until the input ends."""
    output = os.dup(1)
    answers = os.fdopen(
        output,
        "w",
        encoding="utf-8",
    )
    # What a library prints goes to stderr: on stdout it would be read as an answer.
    os.dup2(2, 1)
    logging.disable()
    try:
        import math_verify  # noqa: F401
    # Whatever it is, the other process must hear of it: its stderr is discarded.
    except Exception as error:  # noqa: BLE001
        kind = type(error).__name__
        _write_message(answers, {"error": f"{kind}: {error}"})
        return
    _write_message(answers, {"error": None})
    for line in sys.stdin:
        question = json.loads(line)
        _write_message(answers, answer(**question))


def answer(
    value: str,
    expected: list[str],
    float_rounding: int,
    strict: bool,
    cpu_s: float,
) -> dict[str, Any]:
    """Return whether the value equals one of the expected texts.

    `unreadable` names the side without mathematics, `expected` or `value`, or is
    `None`; then `equal` is a boolean, else `None`. The process ends by SIGPROF after
    `cpu_s` seconds of processor time.
    """
    from sympy.core.random import seed

    # sympy tests for zero at random points: the same ones for every comparison.
    seed(0)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        return _compare_texts(
            value,
            expected,
            float_rounding=float_rounding,
            strict=strict,
        )
    finally:
        # A timer left on would count the time of the next question as well.
        signal.setitimer(signal.ITIMER_PROF, 0)


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
        if verify(
            gold,
            answers,
            **settings,
            timeout_seconds=None,
        ):
            is_equal = True
            break
    return {
        "unreadable": None,
        "equal": is_equal,
    }


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


def _write_message(
    answers: TextIO,
    message: dict[str, Any],
) -> None:
    line = json.dumps(message)
    answers.write(line + "\n")
    # Unflushed, the message would stay in the buffer and both sides would wait.
    answers.flush()


if __name__ == "__main__":
    main()
