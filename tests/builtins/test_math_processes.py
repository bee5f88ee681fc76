"""Processes that compare mathematics: kept, ended, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.support.scoring import score
from themis_lib.builtins import math_processes
from themis_lib.builtins.math_metric import MathEquivalence
from themis_lib.builtins.math_processes import compare
from themis_lib.errors import TransientError

QUESTION = {
    "value": "$2$",
    "expected": ["$1+1$"],
    "float_rounding": 6,
    "strict": True,
    "cpu_s": 30.0,
}


def test_processes_are_kept_for_the_next_comparison():
    """Loading math-verify takes longer than a comparison."""
    score(MathEquivalence(), "1", "1")
    before = {child.pid for child in psutil.Process().children()}

    score(MathEquivalence(), "2", "2")

    assert before == {child.pid for child in psutil.Process().children()}


def test_process_that_was_killed_is_a_failure_of_this_run():
    """Whoever kills it says nothing about the answer: the row is asked again."""
    score(MathEquivalence(), "1", "1")
    worker = math_processes._IDLE[os.getpid()][-1]
    os.kill(worker._process.pid, signal.SIGKILL)

    with pytest.raises(
        TransientError, match="the process that compares mathematics ended with code -9"
    ):
        score(MathEquivalence(), "1", "1")
    assert 1.0 == score(MathEquivalence(), "1", "1")


def test_answer_is_that_of_the_worker() -> None:
    """The side that cannot be read, and the verdict where both can."""
    assert {"unreadable": None, "equal": True} == compare(**QUESTION)
    assert {"unreadable": "value", "equal": None} == compare(
        **{**QUESTION, "value": "?"}
    )


def test_comparison_past_its_time_has_no_answer() -> None:
    """Its process ends, and the next comparison gets another one."""
    endless = {
        **QUESTION,
        "value": "$9^{9^{9^{9}}}$",
        "cpu_s": 0.5,
    }

    assert compare(**endless) is None
    assert {"unreadable": None, "equal": True} == compare(**QUESTION)


PROGRAM = f"""
import psutil
from themis_lib.builtins.math_processes import compare

compare(**{QUESTION!r})
print(*[child.pid for child in psutil.Process().children()])
"""


def test_processes_end_with_the_one_that_started_them() -> None:
    """Nothing is left behind by a program that just returns."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        check=True,
        text=True,
    )

    started = [int(pid) for pid in run.stdout.split()]
    assert 1 == len(started)
    assert not psutil.pid_exists(started[0])
