"""The processes that compare mathematics: started when needed, kept for the next
comparison, ended with this one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

from themis_lib.errors import FatalError, TransientError

_WORKER = Path(__file__).with_name("math_worker.py")
#: Processes without a task, by the process that started them: a fork must not speak
#: into its parent's pipes.
_IDLE: dict[int, list[_Worker]] = {}


def compare(**question: Any) -> dict[str, Any] | None:
    """The answer of `math_worker.answer`; null where it took more than `cpu_s` seconds
    of processor time.

    As many comparisons run at once as threads ask. Raises `FatalError` where
    math-verify cannot be loaded.
    """
    idle = _IDLE.setdefault(os.getpid(), [])
    try:
        worker = idle.pop()
    except IndexError:
        worker = _Worker()
    answer = worker.ask(question)
    if answer is not None:
        idle.append(worker)
    return answer


class _Worker:
    def __init__(self) -> None:
        # -P: the folder of this file has modules named like those of the standard
        # library.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            encoding="utf-8",
            start_new_session=True,
        )
        self.end = weakref.finalize(self, _end_process, self._process)
        ready = self._read_answer()
        if ready is None or ready["error"]:
            said = (
                ready["error"]
                if ready
                else f"its process ended with code {self._process.wait()}"
            )
            self.end()
            raise FatalError(f"math-verify cannot be loaded: {said}")

    def ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or null where the time was up. Raises `TransientError` where the
        process was killed.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._read_answer()
        except BrokenPipeError:
            answer = None
        if answer is None:
            code = self._process.wait()
            self.end()
            if code != -signal.SIGPROF:
                raise TransientError(
                    f"the process that compares mathematics ended with code {code}"
                )
        return answer

    def _read_answer(self) -> dict[str, Any] | None:
        assert self._process.stdout
        line = self._process.stdout.readline()
        return json.loads(line) if line else None


def _end_process(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
