"""Processes that run one experiment at once on one store pay for each row once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.tables import tables_of
from tests.test_crashes import CASES, IN_FLIGHT, SAMPLES, Place, calls, experiment_file
from themis_lib import RunResult, RunStatus, RunStore
from themis_lib.runs.manifest import manifests
from themis_lib.upkeep.check import check

RUN = """
import sys
from themis_lib import Experiment
Experiment.from_config(sys.argv[1]).run()
"""


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_calls(log: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(calls(log)) < count and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.slow
def test_eight_processes_pay_once(tmp_path: Path) -> None:
    """Eight runs that start together call the generator once a row, and end alike."""
    place = Place({"store": str(tmp_path / "store")})
    path, log = experiment_file(tmp_path, place), tmp_path / "calls.log"

    processes = [start(path) for _ in range(8)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]

    assert [0] * 8 == [process.returncode for process in processes], outputs
    assert {1} == set(Counter(calls(log)).values())
    assert CASES * SAMPLES == len(calls(log))
    store = RunStore(str(tmp_path / "store"))
    results = [RunResult(store, manifest.run_id) for manifest in manifests(store)]
    assert {RunStatus.COMPLETED} == {result.status for result in results}
    for result in results[1:]:
        assert tables_of(results[0]) == tables_of(result)
    assert [] == list(check(store))


@pytest.mark.slow
def test_rows_of_a_killed_run_are_taken_over(tmp_path: Path) -> None:
    """Whoever waits for a run that is killed goes on with its rows: finished ones are
    not paid for again, those in flight are.
    """
    place = Place({"store": str(tmp_path / "store")}, delay_s=0.2)
    path, log = experiment_file(tmp_path, place), tmp_path / "calls.log"

    killed = start(path)
    wait_for_calls(log, 3 * IN_FLIGHT)
    waiting = start(path)
    time.sleep(2)
    killed.kill()
    killed.communicate()
    output, _ = waiting.communicate(timeout=120)

    assert 0 == waiting.returncode, output
    assert CASES * SAMPLES == len(set(calls(log)))
    assert len(calls(log)) <= CASES * SAMPLES + IN_FLIGHT
    assert [] == list((tmp_path / "store").rglob("*.journal"))
