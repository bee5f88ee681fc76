"""Python programs in a subprocess, so that a crash does not end this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

#: Threads that spin while they wait for each other take ten times as long where other
#: programs keep the cores busy. What the caller has set stays.
_PATIENT = {"OMP_WAIT_POLICY": "passive"}
#: Without it ggml starts a debugger when it aborts, and the debugger prints where the
#: answer is expected.
_QUIET = {"GGML_NO_BACKTRACE": "1"}


class IsolatedError(Exception):
    """A subprocess that failed.

    `crash` names the signal that ended it; it is empty where there was none.
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
    """Return what a program prints.

    The subprocess has the search path of this process, and none of its PYTHON
    variables. Raises `IsolatedError` if the program crashes, fails, or takes longer
    than `timeout_s` seconds.
    """
    # Relative entries would mean another folder if the program changed its own.
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - text
    head = f"import sys\nsys.path[:] = {json.dumps(path)}\n"
    command = [
        sys.executable,
        # Isolated mode: no PYTHON variable and no user folder can shadow a module.
        "-I",
        "-c",
        head + program,
    ]
    try:
        done = subprocess.run(
            command,
            # A program that reads must not take the caller's input.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            # A library may print bytes that are not text before it crashes.
            errors="replace",
            env={**_PATIENT, **os.environ, **_QUIET},
        )
    except subprocess.TimeoutExpired:
        raise IsolatedError(f"it was not done after {timeout_s:g} s") from None
    except OSError as error:
        raise IsolatedError(f"starting {sys.executable!r} failed: {error}") from None
    if done.returncode < 0:
        number = -done.returncode
        names = {one.value: one.name for one in signal.Signals}
        # Real-time signals have no name.
        raise IsolatedError("it crashed", names.get(number, f"signal {number}"))
    if done.returncode:
        # The last line of a traceback is the error; the rest concerns the program.
        lines = done.stderr.strip().splitlines()
        raise IsolatedError(lines[-1] if lines else f"exit code {done.returncode}")
    return done.stdout
