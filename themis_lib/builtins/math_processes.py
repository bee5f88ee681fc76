"""The processes that compare mathematics.

They are started when needed, kept for the next comparison, and ended with this one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, TypeAlias

from themis_lib.errors import FatalError, TransientError

_Message: TypeAlias = dict[str, Any]

_WORKER = Path(__file__).with_name("math_worker.py")
#: Idle workers, by the process that started them: after a fork, the child must not
#: write into its parent's pipes.
_IDLE: dict[int, list[_Worker]] = {}


def compare(**question: Any) -> _Message | None:
    """Return the answer of `math_worker.answer`.

    Return `None` if it took more than `cpu_s` seconds of processor time. As many
    comparisons run at once as threads ask. Raise `FatalError` if math-verify cannot be
    loaded, `TransientError` if the worker was killed.
    """
    idle = _IDLE.setdefault(os.getpid(), [])
    # Not `if idle`: another thread could take the last one between test and `pop`.
    try:
        worker = idle.pop()
    except IndexError:
        worker = _Worker()
    answer = worker.ask(question)
    # Without an answer the process has ended.
    if answer is not None:
        idle.append(worker)
    return answer


class _Worker:
    """A process that runs `math_worker.py`, and the pipes to it."""

    def __init__(self) -> None:
        command = [
            sys.executable,
            # The folder of this file has modules named like those of the standard
            # library, such as `numbers`: -P keeps it off the path.
            "-P",
            str(_WORKER),
        ]
        environment = {
            **os.environ,
            # sympy's results can depend on the order of sets.
            "PYTHONHASHSEED": "0",
        }
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            encoding="utf-8",
            # Ctrl-C in a terminal would end the workers before the run that asks them.
            start_new_session=True,
        )
        # Runs at exit too, unlike `__del__`, so that no process is left behind.
        self.end = weakref.finalize(
            self,
            _end_process,
            self._process,
        )
        ready = self._read_message()
        if ready is None:
            code = self._process.wait()
            self._refuse_start(f"its process ended with code {code}")
        elif ready["error"]:
            self._refuse_start(ready["error"])

    def ask(self, question: _Message) -> _Message | None:
        """Return the answer, or `None` if the time was up.

        Raise `TransientError` if the process was killed.
        """
        assert self._process.stdin
        line = json.dumps(question)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._read_message()
        except BrokenPipeError:
            answer = None
        if answer is not None:
            return answer
        code = self._process.wait()
        self.end()
        # The timer's signal says that the time was up; another end says nothing about
        # the answer, so the row is tried again.
        if code != -signal.SIGPROF:
            raise TransientError(
                f"the process that compares mathematics ended with code {code}"
            )
        return None

    def _read_message(self) -> _Message | None:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            return None
        message: _Message = json.loads(line)
        return message

    def _refuse_start(self, reason: str) -> None:
        self.end()
        raise FatalError(f"math-verify cannot be loaded: {reason}")


# A function and not a method: a finalizer that held the worker would keep it alive.
def _end_process(process: subprocess.Popen[str]) -> None:
    process.kill()
    # Reaps the process, which would stay a zombie.
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is None:
            continue
        try:
            pipe.close()
        # Closing flushes a question that the process did not read.
        except BrokenPipeError:
            continue
