"""Processes that compute within a bound: kept, ended, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from themis_lib.bounded.processes import Workers
from themis_lib.errors import FatalError, TransientError

#: Counts to a number, or for ever.
COUNTING = """
def answer(upto):
    count = 0
    while count != upto:
        count += 1
    return {"count": count}
"""


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    """Processes that count."""
    path = tmp_path / "counting.py"
    path.write_text(COUNTING)
    return Workers(path, task="counts", flags=("-I", "-S"))


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_processes_are_kept_for_the_next_question(workers: Workers) -> None:
    """Starting one takes longer than many a question."""
    assert {"count": 1} == workers.ask(upto=1, cpu_s=30.0)
    before = children()

    assert {"count": 2} == workers.ask(upto=2, cpu_s=30.0)
    assert before == children()


def test_process_that_was_killed_is_a_failure_of_this_run(workers: Workers) -> None:
    """Whoever kills it says nothing about the answer: the row is asked again."""
    workers.ask(upto=1, cpu_s=30.0)
    [worker] = workers.idle[os.getpid()]
    os.kill(worker._process.pid, signal.SIGKILL)

    with pytest.raises(
        TransientError, match="the process that counts ended with code -9"
    ):
        workers.ask(upto=1, cpu_s=30.0)
    assert {"count": 1} == workers.ask(upto=1, cpu_s=30.0)


def test_question_past_its_time_has_no_answer(workers: Workers) -> None:
    """Its process ends, and the next question gets another one."""
    assert workers.ask(upto=-1, cpu_s=0.2) is None
    assert {"count": 3} == workers.ask(upto=3, cpu_s=30.0)


def test_time_of_one_question_is_not_that_of_the_next(workers: Workers) -> None:
    """Many short questions may take longer than one is allowed to."""
    for _ in range(4):
        assert workers.ask(upto=2_000_000, cpu_s=30.0) is not None
    [worker] = workers.idle[os.getpid()]
    spent = psutil.Process(worker._process.pid).cpu_times().user

    assert workers.ask(upto=10, cpu_s=max(spent / 2, 0.05)) is not None


def test_module_that_cannot_be_loaded_stops_the_run(tmp_path: Path) -> None:
    """No row could succeed; the message says why."""
    path = tmp_path / "broken.py"
    path.write_text("import no_such_module_at_all\n")

    with pytest.raises(
        FatalError,
        match="the process that breaks cannot start: ModuleNotFoundError: No module "
        "named 'no_such_module_at_all'",
    ):
        Workers(path, task="breaks").ask(cpu_s=1.0)


PROGRAM = """
import sys
from pathlib import Path

import psutil
from themis_lib.bounded.processes import Workers

workers = Workers(Path(sys.argv[1]), task="counts")
workers.ask(upto=1, cpu_s=30.0)
print(*[child.pid for child in psutil.Process().children()])
"""


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """Nothing is left behind by a program that just returns."""
    path = tmp_path / "counting.py"
    path.write_text(COUNTING)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        capture_output=True,
        check=True,
        text=True,
    )

    started = [int(pid) for pid in run.stdout.split()]
    assert 1 == len(started)
    assert not psutil.pid_exists(started[0])
