"""Runs that stop when decided and are killed at any moment: they decide the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deciding import Spec, guesses
from tests.support.flow_process import start_run
from tests.support.tables import tables_of
from themis_lib import Experiment, RunResult, RunStore, run_until_decided
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.find_run import find_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLS, IN_FLIGHT = 6, 4
_IN_PROCESS = (
    "import json, sys; from tests.test_killed_until_decided import run; "
    "run(json.loads(sys.stdin.read()))"
)


def run(spec: Spec) -> RunResult:
    """Run an experiment until it is decided against the run `before`."""
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    return run_until_decided(experiment, "before")


def paid_experiment(folder: Path) -> Spec:
    """Some 50 calls decide it against `before`, which is in the store."""
    store = folder / "store"
    before = guesses(store, right=0.45) | {"name": "before"}
    experiment_from_spec(Experiment, before, where="spec").run()
    spec = guesses(store, right=0.7, log=str(folder / "calls.log"), delay_s=0.15)
    spec["generation"]["generator"]["use"] = "tests.support.deciding:Paid"
    spec["runtime"] = {"max_concurrency": IN_FLIGHT}
    return spec


def start_in_process(spec: Spec) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_PROCESS], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(spec))
    process.stdin.close()
    return process


def calls(folder: Path) -> list[str]:
    log = folder / "calls.log"
    return log.read_text().split() if log.exists() else []


def kill_while_it_runs(
    process: subprocess.Popen[str], folder: Path, draw: random.Random
) -> bool:
    """Kill a process some time after its next call; return whether it still ran."""
    before = len(calls(folder))
    deadline = time.monotonic() + 120
    while len(calls(folder)) == before and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 0.3))
    is_killed = process.poll() is None
    process.kill()
    process.wait()
    return is_killed


def without_keys(result: RunResult) -> dict[str, list[dict[str, Any]]]:
    """The tables of a run; the file that its generator writes to is in its keys."""
    tables = tables_of(result)
    for rows in tables.values():
        for row in rows:
            row.pop("key", None)
    return tables


def check_decided_as_if_not_killed(
    killed: RunResult, folder: Path, *, kills: int
) -> None:
    """The record and the tables are those of a run that nobody killed, and no call was
    paid twice but for those that were under way.
    """
    numbers = Counter(calls(folder))
    (folder / "whole").mkdir()
    whole = run(paid_experiment(folder / "whole"))

    def record(result: RunResult) -> dict[str, Any]:
        assert result.manifest.sequential is not None
        found = result.manifest.sequential.model_dump()
        (question,) = found["questions"]
        # The one thing that differs: its run is of another store.
        del question["baseline"]
        return found

    assert record(whole) == record(killed)
    assert "better" == record(killed)["questions"][0]["verdict"]
    assert without_keys(whole) == without_keys(killed)
    used = killed.summary[0].n
    assert 20 < used < 200
    assert used == len(numbers)
    assert numbers.total() - used <= kills * IN_FLIGHT


def test_killed_runs_decide_the_same(tmp_path: Path) -> None:
    """After `kill -9` at random moments: the same decision after as many cases."""
    spec = paid_experiment(tmp_path)
    draw = random.Random(17)

    killed = [
        kill_while_it_runs(start_in_process(spec), tmp_path, draw) for _ in range(KILLS)
    ]
    last = run(spec)

    assert sum(killed) >= KILLS - 2
    check_decided_as_if_not_killed(last, tmp_path, kills=sum(killed))


def test_a_killed_command_decides_the_same(prefect_api: str, tmp_path: Path) -> None:
    """Through Prefect: the command typed again goes on where it was killed."""
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(paid_experiment(tmp_path)))
    asked = ("--until-decided", "--against", "before")
    draw = random.Random(5)

    killed = [
        kill_while_it_runs(start_run(path, prefect_api, *asked), tmp_path, draw)
        for _ in range(2)
    ]
    last = start_run(path, prefect_api, *asked)
    output, _ = last.communicate(timeout=240)

    assert 0 == last.returncode, output
    assert any(killed)
    check_decided_as_if_not_killed(
        find_run(RunStore(str(tmp_path / "store")), "guesses"),
        tmp_path,
        kills=sum(killed),
    )
