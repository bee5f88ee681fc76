"""The processes that compute within a bound.

They are started when needed, kept for the next question, and ended with this one.
(POSIX systems only.)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from themis_lib.errors import FatalError, TransientError

_Message: TypeAlias = dict[str, Any]

_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Workers:
    """Processes that answer questions by the function `answer` of one module.

    `path` is the file of the module. `task` completes `the process that …` in messages.
    `flags` are Python's: by default what is installed can be imported, but nothing that
    lies beside the file.
    """

    path: Path
    task: str
    # The folders have modules named like those of the standard library, such as
    # `numbers`: -P keeps them off the path.
    flags: tuple[str, ...] = ("-P",)
    #: Idle workers, by the process that started them: after a fork, the child must not
    #: write into its parent's pipes.
    idle: dict[int, list[_Worker]] = field(
        default_factory=dict,
        repr=False,
    )

    def ask(
        self,
        *,
        cpu_s: float,
        **question: Any,
    ) -> _Message | None:
        """Return the answer, or `None` if it took more than `cpu_s` s of processor time.

        As many questions are answered at once as threads ask. Raise `FatalError` if the
        module cannot be loaded, `TransientError` if the process was killed.
        """
        idle = self.idle.setdefault(os.getpid(), [])
        # Not `if idle`: another thread could take the last one between test and `pop`.
        try:
            worker = idle.pop()
        except IndexError:
            worker = _Worker(self)
        question["cpu_s"] = cpu_s
        answer = worker.ask(question)
        # Without an answer the process has ended.
        if answer is not None:
            idle.append(worker)
        return answer


class _Worker:
    """A process that runs `worker.py`, and the pipes to it."""

    def __init__(self, workers: Workers) -> None:
        self._task = workers.task
        command = [
            sys.executable,
            *workers.flags,
            str(_WORKER),
            str(workers.path),
        ]
        environment = {
            **os.environ,
            # A library's results can depend on the order of sets; sympy's do.
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
            self._refuse_start(f"it ended with code {code}")
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
                f"the process that {self._task} ended with code {code}"
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
        raise FatalError(f"the process that {self._task} cannot start: {reason}")


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
