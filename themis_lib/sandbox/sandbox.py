"""Tests of code, run in a sandbox: what a row asks, and the verdict.

(Linux on x86-64 and arm64 only.)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from themis_lib.errors import FatalError, TransientError
from themis_lib.sandbox.verdicts import Ends, Limits, Verdict, verdict_of
from themis_lib.sandbox.wire import Frame, read_frame, write_frame

#: How code is kept from files: it is in namespaces that have none, or Landlock refuses
#: to open them. The filter of system calls and the limits are the same.
Isolation: TypeAlias = Literal["namespaces", "landlock"]

_PACKAGE = Path(__file__).parents[1]
# The library's own `__init__` would load what is installed, which the sandbox lacks.
_START = (
    "import sys, types; "
    "sys.modules['themis_lib'] = package = types.ModuleType('themis_lib'); "
    "package.__path__ = [sys.argv[1]]; "
    "from themis_lib.sandbox.zygote import main; main()"
)
#: How long a sandbox may take to start, and to answer beyond the time of a row.
_GRACE_S = 60.0


@dataclass(frozen=True)
class TestedCode:
    """Code, and the tests that it has to pass.

    `parts` are the data set's own code and tests, run in their order. The code may
    continue a `prompt`, or define its function again. `function` is what the code has
    to define, if that is given; `check` the function of the tests that is called with
    it at the end.
    """

    code: str
    parts: Sequence[str]
    prompt: str = ""
    function: str | None = None
    check: str | None = None


#: Idle sandboxes by the process that started them, and by their isolation.
_IDLE: dict[tuple[int, Isolation], list[_Sandbox]] = {}


def run_tests(
    question: TestedCode,
    limits: Limits,
    isolation: Isolation,
) -> Verdict:
    """Return the verdict of the tests on the code.

    As many run at once as threads ask. Raise `FatalError` if there can be no sandbox,
    `TransientError` if one was ended from outside.
    """
    idle = _IDLE.setdefault((os.getpid(), isolation), [])
    # Not `if idle`: another thread could take the last one between test and `pop`.
    try:
        sandbox = idle.pop()
    except IndexError:
        sandbox = _Sandbox(isolation)
    verdict = sandbox.run(question, limits)
    # After an error it may be in the middle of a row.
    idle.append(sandbox)
    return verdict


def check_isolation(isolation: Isolation) -> None:
    """Raise `FatalError`, saying what is missing, if there can be no such sandbox."""
    idle = _IDLE.setdefault((os.getpid(), isolation), [])
    if not idle:
        idle.append(_Sandbox(isolation))


class _Sandbox:
    """A process that runs `zygote.py`, and the socket to it."""

    def __init__(self, isolation: Isolation) -> None:
        if sys.platform != "linux":
            raise FatalError(f"code cannot be run on {sys.platform}: it takes Linux")
        self._control, other = socket.socketpair(
            socket.AF_UNIX,
            socket.SOCK_SEQPACKET,
        )
        with other:
            command = [
                sys.executable,
                # Nothing can be imported but the standard library.
                "-P",
                "-s",
                "-S",
                "-c",
                _START,
                str(_PACKAGE),
                str(other.fileno()),
                isolation,
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # The order of sets is the same in every sandbox; no credential is
                # inherited.
                env={"PYTHONHASHSEED": "0"},
                cwd="/",
                pass_fds=[other.fileno()],
                start_new_session=True,
            )
        # Runs at exit too, unlike `__del__`, so that no process is left behind.
        self.end = weakref.finalize(
            self,
            _end_process,
            self._process,
            self._control,
        )
        answer = self._receive(_GRACE_S)
        if answer is None:
            self.end()
            raise FatalError("the sandbox for code cannot start")
        if answer["problem"] is not None:
            self.end()
            raise FatalError(f"no sandbox for code here: {answer['problem']}")

    def run(
        self,
        question: TestedCode,
        limits: Limits,
    ) -> Verdict:
        """Return the verdict of a row."""
        row, other = socket.socketpair()
        with row:
            with other:
                request = json.dumps(asdict(limits)).encode()
                try:
                    socket.send_fds(self._control, [request], [other.fileno()])
                except OSError:
                    raise self._lost() from None
            verdict = _exchange(row, asdict(question))
        answer = self._receive(limits.wall_s + _GRACE_S)
        if answer is None:
            raise self._lost()
        return verdict_of(verdict, Ends(**answer), limits)

    def _receive(self, timeout_s: float) -> Any:
        self._control.settimeout(timeout_s)
        try:
            message = self._control.recv(4096)
        except OSError:
            return None
        return json.loads(message) if message else None

    def _lost(self) -> TransientError:
        self.end()
        return TransientError("the sandbox for code was ended from outside")


def _exchange(
    row: socket.socket,
    frame: Frame,
) -> Frame | None:
    """Send a row to its tests' process; return what that says, `None` if nothing."""
    # Ends when the process does, whose time the sandbox bounds.
    try:
        write_frame(row.fileno(), frame)
        return read_frame(row.fileno())
    except (BrokenPipeError, ConnectionResetError):
        return None


# A function and not a method: a finalizer that held the sandbox would keep it alive.
def _end_process(
    process: subprocess.Popen[bytes],
    control: socket.socket,
) -> None:
    # At the end of its socket it ends every process that it has started.
    control.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
