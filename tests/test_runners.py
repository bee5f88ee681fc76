"""Where shards are computed changes nothing: the same tables, the same record, and
nothing computed twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.support.drivers import flow_outcome
from tests.support.tables import tables_of
from tests.test_crashes import unfinished
from themis_lib import RunResult, RunStatus, RunStore
from themis_lib.runs.manifest import manifests

pytestmark = pytest.mark.slow

CASES, SAMPLES, WORKERS, IN_FLIGHT = 40, 2, 2, 4
#: Of each: multiples of 7 from 7 to 35, and the one that always fails.
REFUSED, FAILED = 5 * SAMPLES, SAMPLES


def spec_of(
    folder: Path, *, delay_s: float = 0.0, shard_size: int | None = 7
) -> dict[str, Any]:
    cases = [
        {"case_id": f"c{at}", "input": str(at), "expected_output": 2 * at}
        for at in range(CASES)
    ]
    folder.mkdir(exist_ok=True)
    return {
        "name": "anywhere",
        "generation": {
            "generator": {
                "use": "tests.support.unsteady:Unsteady",
                "folder": str(folder),
                "delay_s": delay_s,
            },
            "candidate_policy": {"num_samples": SAMPLES},
        },
        "evaluation": {
            "parsers": ["builtin/number"],
            "metrics": ["builtin/numeric_match"],
        },
        "datasets": [{"dataset_id": "numbers", "cases": cases}],
        "storage": {"store": str(folder / "store")},
        "runtime": {
            "shard_size": shard_size,
            "workers": WORKERS,
            "max_concurrency": IN_FLIGHT,
            "retries": 2,
            "retry_delay_s": 0.05,
        },
        "cost": {"prices": {"metered": {"input": 1e6, "output": 1e6}}},
    }


def calls(folder: Path) -> list[tuple[str, str]]:
    """The process and the row of each call."""
    log = folder / "calls"
    lines = log.read_text().splitlines() if log.exists() else []
    return [
        (process, row)
        for process, row in (line.split() for line in lines if " " in line)
    ]


def record(result: RunResult) -> list[dict[str, Any]]:
    """What the run's record says of its stages."""
    return [stage.model_dump(exclude={"identity"}) for stage in result.manifest.stages]


def runner_or_skip(name: str) -> str:
    if name in ("dask", "ray"):
        pytest.importorskip(f"prefect_{name}")
    return name


@pytest.mark.parametrize("runner", ["processes", "dask", "ray"])
def test_every_runner_makes_the_same_run(
    prefect_api: str, tmp_path: Path, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and record are those of threads, with errors, retries and tokens; again,
    only failed rows are tried.
    """
    runner_or_skip(runner)
    # Ray has its workers wait for every other process of the machine.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"

    expected = flow_outcome(spec_of(here), here, prefect_api).run.result
    first = flow_outcome(
        spec_of(elsewhere), elsewhere, prefect_api, runner=runner
    ).run.result
    processes = {process for process, _ in calls(elsewhere)}
    again = flow_outcome(
        spec_of(elsewhere), elsewhere, prefect_api, runner=runner
    ).run.result

    assert tables_of(expected) == tables_of(first) == tables_of(again)
    assert record(expected) == record(first)
    assert expected.manifest.cost_paid == first.manifest.cost_paid > 0
    assert RunStatus.PARTIAL_FAILURE == first.status
    assert (CASES * SAMPLES - FAILED, FAILED) == (
        first.progress["generate"].computed,
        first.progress["generate"].failed,
    )
    assert REFUSED + FAILED == first.progress["generate"].errors
    assert Counter(row for _, row in calls(here)) == Counter(
        row for _, row in calls(elsewhere)[: len(calls(here))]
    )
    assert str(os.getpid()) not in processes
    assert {0} == {stage.computed for stage in again.manifest.stages}
    assert FAILED == again.progress["generate"].failed


def test_small_data_are_spread_over_processes(prefect_api: str, tmp_path: Path) -> None:
    """Without a shard size, data that threads would take as one shard have several for
    as many processes.
    """
    spec = spec_of(tmp_path, shard_size=None)
    spec["datasets"][0]["cases"] = [
        {"case_id": f"c{at}", "input": str(1 + 7 * at), "expected_output": at}
        for at in range(300)
    ]

    result = flow_outcome(spec, tmp_path, prefect_api, runner="processes").run.result

    assert 600 == result.progress["generate"].computed
    assert 3 == len(list((tmp_path / "store/rows/cases").glob("*.parquet")))


def start(path: Path, api_url: str, runner: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.run", str(path), "--runner", runner],
        env={**os.environ, "PREFECT_API_URL": api_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, as a shell makes it, for a Ctrl-C that all of it hears
    )


def started_and_busy(
    folder: Path, api_url: str, runner: str
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A run in the middle of its rows, and the processes it has started."""
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec_of(folder, delay_s=0.3)))
    before = len(calls(folder))
    running = start(path, api_url, runner)
    deadline = time.monotonic() + 60
    while (
        len(calls(folder)) < before + 12
        and running.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    return running, psutil.Process(running.pid).children(recursive=True)


@pytest.mark.parametrize("runner", ["processes", "dask"])
def test_ctrl_c_ends_every_process(
    prefect_api: str, tmp_path: Path, runner: str
) -> None:
    """Ctrl-C ends the workers too, nothing stays `Running`, and the next run repeats at
    most the rows in flight.
    """
    runner_or_skip(runner)

    stopped, children = started_and_busy(tmp_path, prefect_api, runner)
    os.killpg(stopped.pid, signal.SIGINT)
    output, _ = stopped.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=10)
    store = RunStore(str(tmp_path / "store"))
    status, left = manifests(store)[-1].status, unfinished(prefect_api)
    made = len(calls(tmp_path))
    again = flow_outcome(spec_of(tmp_path), tmp_path, prefect_api).run.result
    repeated = Counter(row for _, row in calls(tmp_path)[:made]) & Counter(
        row for _, row in calls(tmp_path)[made:]
    )
    expected = flow_outcome(
        spec_of(tmp_path / "other"), tmp_path / "other", prefect_api
    ).run.result

    assert 130 == stopped.returncode, output
    assert "Traceback" not in output
    assert [] == alive
    assert RunStatus.FAILED == status
    assert tables_of(expected) == tables_of(again)
    assert 2 * WORKERS * IN_FLIGHT + FAILED + SAMPLES >= repeated.total()
    assert not list((tmp_path / "store").rglob("*.journal"))
    assert {} == left


def test_killed_run_leaves_no_process(prefect_api: str, tmp_path: Path) -> None:
    """After `kill -9` of a run its processes notice and end, and the next run goes on
    with their rows.
    """
    killed, children = started_and_busy(tmp_path, prefect_api, "processes")
    killed.kill()
    killed.communicate()
    _, alive = psutil.wait_procs(children, timeout=15)
    again = flow_outcome(spec_of(tmp_path), tmp_path, prefect_api).run.result
    expected = flow_outcome(
        spec_of(tmp_path / "other"), tmp_path / "other", prefect_api
    ).run.result

    assert WORKERS <= len(children)
    assert [] == alive
    assert tables_of(expected) == tables_of(again)
    assert not list((tmp_path / "store").rglob("*.journal"))


def test_lost_worker_is_one_clear_error(prefect_api: str, tmp_path: Path) -> None:
    """A worker that the system kills stops the run with what to do; its finished rows
    are saved, its tasks crashed.
    """
    running, children = started_and_busy(tmp_path, prefect_api, "processes")
    for child in children:
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
    output, _ = running.communicate(timeout=60)

    assert 1 == running.returncode, output
    assert "a worker process ended in the middle of a shard" in " ".join(output.split())
    assert "Traceback" not in output
    assert {} == unfinished(prefect_api)
