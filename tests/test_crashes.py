"""Runs that are killed, stopped or doubled lose nothing, and repeat no more than what
was in flight.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.flow_process import start_run
from tests.support.tables import tables_of
from themis_lib import Experiment, RunResult, RunStatus, RunStore
from themis_lib.runs.manifest import manifests
from themis_lib.upkeep.check import check

pytestmark = pytest.mark.slow

CASES, SAMPLES, IN_FLIGHT = 60, 2, 4


@dataclass(frozen=True)
class Place:
    """Where a store is, how fast rows come, when runs are killed there, and how many
    finished rows that may cost.
    """

    storage: dict[str, Any]
    delay_s: float = 0.03
    kills: int = 10
    killed_after_s: tuple[float, float] = (0, 0.15)
    unsaved_rows: int = 0


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A folder, where each row is safe when it is finished; and S3, where rows are
    written every few seconds.
    """
    if request.param == "folder":
        return Place({"store": str(tmp_path / "store")})
    storage = request.getfixturevalue("s3_storage")
    return Place(
        storage,
        delay_s=0.2,
        kills=3,
        killed_after_s=(2.5, 4),
        unsaved_rows=round(4 * IN_FLIGHT / 0.2),
    )


def experiment_file(
    folder: Path, place: Place, *, log: str = "calls.log", name: str = "crash"
) -> Path:
    path = folder / f"{name}.yaml"
    spec = {
        "generation": {
            "generator": {
                "use": "tests.support.counting:SlowGenerator",
                "log": str(folder / log),
                "delay_s": place.delay_s,
            },
            "candidate_policy": {"num_samples": SAMPLES},
        },
        "evaluation": {
            "parsers": ["builtin/number"],
            "metrics": ["builtin/numeric_match"],
        },
        "datasets": [
            {
                "dataset_id": "numbers",
                "cases": [
                    {
                        "case_id": f"c{index}",
                        "input": str(index),
                        "expected_output": str(index),
                    }
                    for index in range(CASES)
                ],
            }
        ],
        "storage": place.storage,
        "runtime": {"shard_size": 25, "max_concurrency": IN_FLIGHT},
    }
    path.write_text(yaml.safe_dump(spec))
    return path


def calls(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def wait_for_call(log: Path, *, more_than: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while (
        len(calls(log)) <= more_than
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.002)


def last_run(place: Place) -> RunResult:
    store = RunStore(place.storage["store"])
    return RunResult(store, manifests(store)[-1].run_id)


def uninterrupted(folder: Path) -> RunResult:
    other = Place({"store": str(folder / "other")}, delay_s=0)
    path = experiment_file(folder, other, log="other.log", name="uninterrupted")
    return Experiment.from_config(path).run()


def test_killed_runs_lose_nothing(
    prefect_api: str, place: Place, tmp_path: Path
) -> None:
    """After `kill -9` at random moments the next run goes on; rows repeated are at most
    those in flight.

    On object stores they are those of the last seconds.
    """
    path, log = experiment_file(tmp_path, place), tmp_path / "calls.log"
    draw = random.Random(7)

    kills = 0
    for _ in range(place.kills):
        process = start_run(path, prefect_api)
        wait_for_call(log, more_than=len(calls(log)), process=process)
        time.sleep(draw.uniform(*place.killed_after_s))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    last = start_run(path, prefect_api)
    output, _ = last.communicate(timeout=120)

    assert 0 == last.returncode, output
    assert kills >= place.kills // 2
    assert CASES * SAMPLES == len(set(calls(log)))
    assert len(calls(log)) <= CASES * SAMPLES + kills * (IN_FLIGHT + place.unsaved_rows)
    assert tables_of(uninterrupted(tmp_path)) == tables_of(last_run(place))
    assert [] == list(check(last_run(place).store))
    for file in last_run(place).store.files():
        assert not file.path.endswith((".damaged", ".journal"))


def test_interrupted_run_says_how_to_go_on(
    prefect_api: str, place: Place, tmp_path: Path
) -> None:
    """Ctrl-C ends with code 130 and the command that goes on; the next run repeats at
    most the rows in flight.
    """
    path, log = experiment_file(tmp_path, place), tmp_path / "calls.log"

    stopped = start_run(path, prefect_api)
    wait_for_call(log, more_than=20, process=stopped)
    stopped.send_signal(signal.SIGINT)
    output, _ = stopped.communicate(timeout=60)
    status = last_run(place).status
    again = start_run(path, prefect_api)
    again_output, _ = again.communicate(timeout=120)

    assert 130 == stopped.returncode, output
    assert f"python -m flows.run {path}" in " ".join(output.split())
    assert "Traceback" not in output
    assert RunStatus.FAILED == status
    assert 0 == again.returncode, again_output
    assert len(calls(log)) <= CASES * SAMPLES + IN_FLIGHT
    assert tables_of(uninterrupted(tmp_path)) == tables_of(last_run(place))
    assert {} == unfinished(prefect_api)


def unfinished(api_url: str) -> dict[str, str]:
    """Flow and task runs that the server still takes to be under way, except those
    whose process was killed.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    async def read() -> dict[str, str]:
        async with get_client() as client:
            flow_run = max(await client.read_flow_runs(), key=lambda run: run.created)
            runs: list[Any] = [flow_run, *await client.read_task_runs()]
            interrupted = [
                run
                for run in runs
                if run.id == flow_run.id or run.flow_run_id == flow_run.id
            ]
        return {
            run.name: run.state.name for run in interrupted if not run.state.is_final()
        }

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(read())


def test_two_processes_share_a_store(
    prefect_api: str, place: Place, tmp_path: Path
) -> None:
    """Two processes that run one experiment at once end with the same tables, and every
    row is there, paid for once where files can be locked.
    """
    path = experiment_file(tmp_path, place)

    both = [start_run(path, prefect_api) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    store = last_run(place).store
    first, second = (
        tables_of(RunResult(store, manifest.run_id)) for manifest in manifests(store)
    )

    assert [0, 0] == [process.returncode for process in both], outputs
    assert first == second
    assert first == tables_of(uninterrupted(tmp_path))
    assert [] == list(check(store))
    most = 1 if store.has_locks else 2
    assert max(Counter(calls(tmp_path / "calls.log")).values()) <= most
