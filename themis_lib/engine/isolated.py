"""Python in a process of its own: what may crash there does not take this process with
it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

#: Without it ggml starts a debugger when it aborts, which prints where the answer is
#: expected.
_QUIET = {"GGML_NO_BACKTRACE": "1"}


class IsolatedError(Exception):
    """A process that did not do its work; `crash` names the signal that ended it, or is
    empty.
    """

    def __init__(
        self,
        reason: str,
        crash: str = "",
    ) -> None:
        super().__init__(reason)
        self.crash = crash


def run_isolated(
    program: str,
    *,
    timeout_s: float,
) -> str:
    """What a program prints. Raises `IsolatedError` where it crashes, fails, or takes
    longer than `timeout_s` seconds.

    It has the search path of this process, and none of its PYTHON variables.
    """
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - text, as sys.path holds it
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys\nsys.path[:] = {json.dumps(path)}\n{program}",
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            errors="replace",
            env={**os.environ, **_QUIET},
        )
    except subprocess.TimeoutExpired:
        raise IsolatedError(f"it was not done after {timeout_s:g} s") from None
    except OSError as error:
        raise IsolatedError(f"starting {sys.executable!r} failed: {error}") from None
    if done.returncode < 0:
        raise IsolatedError("it crashed", _signal_name(-done.returncode))
    if done.returncode:
        raise IsolatedError(
            (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        )
    return done.stdout


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
