"""The verdict of a row from how its processes ended."""

from __future__ import annotations

import signal

import pytest

from themis_lib.errors import TransientError
from themis_lib.sandbox.verdicts import Ends, Limits, verdict_of

LIMITS = Limits(cpu_s=3)


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        (None, Ends(False, tests=(-signal.SIGKILL, 0.1), code=(0, 0.1))),
        (None, Ends(False, tests=(70, 0.0), code=(0, 0.0))),
        (
            {"outcome": "not closed", "message": ""},
            Ends(False, tests=(0, 0.0), code=(70, 0.0)),
        ),
    ],
)
def test_what_the_code_cannot_have_caused_is_tried_again(told, ends):
    """Tests killed from outside, and a sandbox that cannot be closed, are no verdict."""
    with pytest.raises(TransientError):
        verdict_of(told, ends, LIMITS)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ((-signal.SIGKILL, 3.0), "timeout"),
        ((-signal.SIGKILL, 0.1), "killed"),
        ((-signal.SIGSEGV, 0.1), "killed"),
        ((71, 0.1), "memory"),
        ((70, 0.1), "exited"),
        ((0, 0.1), "exited"),
    ],
)
def test_end_of_the_code_is_an_outcome(end, outcome):
    """However the code's process ends before its tests do, the case has failed."""
    ends = Ends(False, tests=(0, 0.1), code=end)

    verdict = verdict_of({"outcome": "ended", "message": ""}, ends, LIMITS)

    assert outcome == verdict.outcome
