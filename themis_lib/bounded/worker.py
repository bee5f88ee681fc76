"""The process that computes: a line of JSON in, a line of JSON out.

It is run by its path, with the path of the module that computes, and imports nothing of
the library. That module has a function `answer`; a function `prepare`, if there is one,
loads what it needs.

The operating system bounds the processor time of a question: it ends the process even
while C code runs. No answer depends on the questions before it.
"""

from __future__ import annotations

import json
import logging
import os
import runpy
import signal
import sys
from typing import Any, TextIO


def main(path: str) -> None:
    """Report whether the module can be loaded, then answer until the input ends."""
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
        module = runpy.run_path(path)
        if "prepare" in module:
            module["prepare"]()
    # Whatever it is, the other process must hear of it: its stderr is discarded.
    except Exception as error:  # noqa: BLE001
        kind = type(error).__name__
        _write_message(answers, {"error": f"{kind}: {error}"})
        return
    _write_message(answers, {"error": None})
    for line in sys.stdin:
        question = json.loads(line)
        cpu_s = question.pop("cpu_s")
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        try:
            answer = module["answer"](**question)
        finally:
            # A timer left on would count the time of the next question as well.
            signal.setitimer(signal.ITIMER_PROF, 0)
        _write_message(answers, answer)


def _write_message(
    answers: TextIO,
    message: dict[str, Any],
) -> None:
    line = json.dumps(message)
    answers.write(line + "\n")
    # Unflushed, the message would stay in the buffer and both sides would wait.
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
