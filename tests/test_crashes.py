"""Runs that are killed, stopped or doubled lose nothing, and repeat no more than what was in flight."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tables import tables_of
from themis_lib import Experiment, RunResult, RunStatus, RunStore
from themis_lib.core.manifest import manifests

pytestmark = pytest.mark.slow

CASES, SAMPLES, IN_FLIGHT = 60, 2, 4
KILLS = 10


def experiment_file(folder: Path, *, store: Path | None = None, log: str = "calls.log", name: str = "crash") -> Path:
    path = folder / f"{name}.yaml"
    spec = {
        "generation": {
            "generator": {"use": "tests.counting:SlowGenerator", "log": str(folder / log), "delay_s": 0.03},
            "candidate_policy": {"num_samples": SAMPLES},
        },
        "evaluation": {"parsers": ["builtin/number"], "metrics": ["builtin/numeric_match"]},
        "datasets": [
            {
                "dataset_id": "numbers",
                "cases": [
                    {"case_id": f"c{index}", "input": str(index), "expected_output": str(index)}
                    for index in range(CASES)
                ],
            }
        ],
        "storage": {"store": str(store or folder / "store")},
        "runtime": {"shard_size": 25, "max_concurrency": IN_FLIGHT},
    }
    path.write_text(yaml.safe_dump(spec))
    return path


def start(path: Path, api_url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.run", str(path)],
        env={**os.environ, "PREFECT_API_URL": api_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def calls(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def wait_for_call(log: Path, *, more_than: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(calls(log)) <= more_than and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def last_run(folder: Path) -> RunResult:
    store = RunStore(str(folder / "store"))
    return RunResult(store, manifests(store)[-1].run_id)


def uninterrupted(folder: Path) -> RunResult:
    path = experiment_file(folder, store=folder / "other", log="other.log", name="uninterrupted")
    return Experiment.from_config(path).run()


def test_killed_runs_lose_nothing(prefect_api: str, tmp_path: Path) -> None:
    """After `kill -9` at random moments the next run goes on; rows repeated are at most those in flight."""
    path, log = experiment_file(tmp_path), tmp_path / "calls.log"
    draw = random.Random(7)

    kills = 0
    for _ in range(KILLS):
        process = start(path, prefect_api)
        wait_for_call(log, more_than=len(calls(log)), process=process)
        time.sleep(draw.uniform(0, 0.15))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    last = start(path, prefect_api)
    output, _ = last.communicate(timeout=120)

    assert 0 == last.returncode, output
    assert kills >= KILLS // 2
    assert CASES * SAMPLES == len(set(calls(log)))
    assert len(calls(log)) <= CASES * SAMPLES + kills * IN_FLIGHT
    assert tables_of(uninterrupted(tmp_path)) == tables_of(last_run(tmp_path))
    assert not list((tmp_path / "store").rglob("*.damaged"))
    assert not list((tmp_path / "store").rglob("*.journal"))


def test_interrupted_run_says_how_to_go_on(prefect_api: str, tmp_path: Path) -> None:
    """Ctrl-C ends with code 130 and the command that goes on; the next run repeats at most the rows in flight."""
    path, log = experiment_file(tmp_path), tmp_path / "calls.log"

    stopped = start(path, prefect_api)
    wait_for_call(log, more_than=20, process=stopped)
    stopped.send_signal(signal.SIGINT)
    output, _ = stopped.communicate(timeout=60)
    status = last_run(tmp_path).status
    again = start(path, prefect_api)
    again_output, _ = again.communicate(timeout=120)

    assert 130 == stopped.returncode, output
    assert f"python -m flows.run {path}" in " ".join(output.split())
    assert "Traceback" not in output
    assert RunStatus.FAILED == status
    assert 0 == again.returncode, again_output
    assert len(calls(log)) <= CASES * SAMPLES + IN_FLIGHT
    assert tables_of(uninterrupted(tmp_path)) == tables_of(last_run(tmp_path))
    assert {} == unfinished(prefect_api)


def unfinished(api_url: str) -> dict[str, str]:
    """Flow and task runs that the server still takes to be under way, except those whose process was killed."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    async def read() -> dict[str, str]:
        async with get_client() as client:
            flow_run = max(await client.read_flow_runs(), key=lambda run: run.created)
            runs: list[Any] = [flow_run, *await client.read_task_runs()]
            interrupted = [run for run in runs if run.id == flow_run.id or run.flow_run_id == flow_run.id]
        return {run.name: run.state.name for run in interrupted if not run.state.is_final()}

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(read())


def test_two_processes_share_a_store(prefect_api: str, tmp_path: Path) -> None:
    """Two processes that run one experiment at once end with the same tables, and every row is there."""
    path = experiment_file(tmp_path)

    both = [start(path, prefect_api) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    store = RunStore(str(tmp_path / "store"))
    first, second = (tables_of(RunResult(store, manifest.run_id)) for manifest in manifests(store))

    assert [0, 0] == [process.returncode for process in both], outputs
    assert first == second
    assert first == tables_of(uninterrupted(tmp_path))
    assert max(Counter(calls(tmp_path / "calls.log")).values()) <= 2
