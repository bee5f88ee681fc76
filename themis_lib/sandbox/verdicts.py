"""What a row may use, and its verdict from how its processes ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from themis_lib.errors import TransientError
from themis_lib.sandbox.wire import Frame

#: How far the system's bound on processor time may be off.
_TICK_S = 0.2
# The exit codes of `zygote.py`, which cannot be imported: it loads what only the
# sandbox needs.
_NOT_CLOSED = 70
_NO_MEMORY = 71
_NO_SANDBOX = "the sandbox of a row could not be closed"


@dataclass(frozen=True)
class Limits:
    """What each of the two processes of a row may use; `wall_s` is for both.

    A process is one: it can start no other, and no thread.
    """

    cpu_s: int = 3
    wall_s: int = 15
    memory_mb: int = 512
    file_mb: int = 16


@dataclass(frozen=True)
class Verdict:
    """How the tests of a code ended: `passed`, or why not, with a message."""

    outcome: str
    message: str


@dataclass(frozen=True)
class Ends:
    """How the two processes of a row ended.

    Each has an exit code, or a signal below 0, and the processor time it took.
    """

    timed_out: bool
    tests: tuple[int, float]
    code: tuple[int, float]


def verdict_of(
    told: Frame | None,
    ends: Ends,
    limits: Limits,
) -> Verdict:
    """Return the verdict, from what the tests say and from how the processes ended."""
    if told is None:
        if not ends.timed_out and _was_killed(ends.tests, limits):
            # The code can send no signals: another program did, or memory is short.
            raise TransientError("the tests of a code were ended from outside")
        # Of the tests' process alone: the code may end its own with any exit code.
        if ends.tests[0] == _NOT_CLOSED:
            raise TransientError(_NO_SANDBOX)
        return _verdict_of_end(ends.tests, ends, limits)
    outcome = str(told["outcome"])
    # Said before the code is sent.
    if outcome == "not closed":
        raise TransientError(_NO_SANDBOX)
    if outcome == "ended":
        return _verdict_of_end(ends.code, ends, limits)
    return Verdict(outcome, str(told["message"]))


def _verdict_of_end(
    end: tuple[int, float],
    ends: Ends,
    limits: Limits,
) -> Verdict:
    """Return the verdict of a row in which a process ended before its tests did."""
    code, _ = end
    if ends.timed_out:
        return Verdict("timeout", f"it took more than {limits.wall_s} s")
    if code == -signal.SIGKILL and not _was_killed(end, limits):
        reason = f"it took more than {limits.cpu_s} s of processor time"
        return Verdict("timeout", reason)
    if code == _NO_MEMORY:
        return Verdict("memory", "the code ran out of memory")
    if code == -signal.SIGKILL:
        reason = "it cut the connection to its tests, or was ended from outside"
        return Verdict("killed", reason)
    if code < 0:
        name = signal.Signals(-code).name
        return Verdict("killed", f"the process was ended by {name}")
    return Verdict("exited", f"the process ended with code {code} before its tests did")


def _was_killed(
    end: tuple[int, float],
    limits: Limits,
) -> bool:
    """Return whether a process was killed by something else than its own limit."""
    code, cpu_s = end
    return code == -signal.SIGKILL and cpu_s < limits.cpu_s - _TICK_S
