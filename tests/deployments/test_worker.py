"""Deployed by `prefect.yaml` and run by a worker, as the UI asks for it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.deployments.conftest import kill_with_children, start_worker
from tests.support.prefect_api import (
    CASES,
    IN_FLIGHT,
    Api,
    calls,
    experiment_file,
    wait_for_calls,
)
from tests.support.tables import tables_of
from themis_lib import Experiment, RunResult, RunStore
from themis_lib.runs.manifest import manifests

pytestmark = pytest.mark.slow


def last_run(folder: Path) -> RunResult:
    store = RunStore(str(folder / "store"))
    return RunResult(store, manifests(store)[-1].run_id)


def undisturbed(folder: Path) -> RunResult:
    """The same run in a store of its own, in process."""
    (folder / "other").mkdir()
    return Experiment.from_config(experiment_file(folder / "other")).run()


def test_run_with_only_an_experiment_is_shown_as_a_person_reads_it(
    deployed: Api, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """The worker runs it; name, state, scores, report and progress can be read, and a
    second run is `Cached`.
    """
    path = experiment_file(tmp_path)

    first = deployed.ended(deployed.run("evaluate/evaluate", experiment=str(path)))
    second = deployed.ended(deployed.run("evaluate/evaluate", experiment=str(path)))
    artifacts = deployed.artifacts(first.id)

    assert ("numbers · m1", "Completed") == (first.name, first.state.name)
    assert "numeric_match" in first.state.message
    assert str(tmp_path / "store") in first.state.message
    assert {"numbers", "themis"} == set(first.tags)
    assert {
        "progress-numbers",
        "summary-numbers",
        "report-numbers",
        "html-numbers",
    } == set(artifacts)
    assert 100.0 == artifacts["progress-numbers"].data
    assert "Beginning flow run" in deployed.logs(first.id)
    tasks = deployed.task_states(first.id)
    assert 16 == len(tasks)
    assert "Completed" == tasks["generate d 0-9"]
    assert {"Cached"} == set(deployed.task_states(second.id).values())
    assert CASES == len(calls(tmp_path))


def test_schedule_fires(
    deployed: Api, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """A schedule with parameters of its own starts a run by itself."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
    from prefect.client.schemas.schedules import IntervalSchedule

    path = experiment_file(tmp_path, name="scheduled")

    async def schedule(client: Any) -> Any:
        known = await client.read_deployment_by_name("evaluate/evaluate")
        every = IntervalSchedule(interval=timedelta(seconds=10))
        await client.create_deployment_schedules(known.id, [(every, True)])
        (made,) = await client.read_deployment_schedules(known.id)
        return known.id, made.id

    async def remove(client: Any) -> None:
        await client.delete_deployment_schedule(deployment_id, schedule_id)

    parameters = {"parameters": {"experiment": str(path)}}
    deployed.ask(lambda client: _suggest(client, parameters))
    deployment_id, schedule_id = deployed.ask(schedule)
    try:
        wait_for_calls(tmp_path, CASES, within_s=120)
    finally:
        deployed.ask(remove)
        deployed.ask(lambda client: _suggest(client, {}))
    scheduled: list[Any] = []
    deadline = time.monotonic() + 60
    # The server tells a run's new name a little after the run has it.
    while not scheduled and time.monotonic() < deadline:
        # By its name: other tests may have had more runs than one answer holds.
        named = FlowRunFilter(name=FlowRunFilterName(any_=["scheduled · m1"]))
        scheduled = deployed.ask(
            lambda client, named=named: client.read_flow_runs(flow_run_filter=named)
        )
        time.sleep(0.2)

    assert scheduled
    assert all(run.auto_scheduled for run in scheduled)


async def _suggest(client: Any, parameters: dict[str, Any]) -> None:
    from prefect.client.schemas.actions import DeploymentUpdate

    known = await client.read_deployment_by_name("evaluate/evaluate")
    await client.update_deployment(known.id, DeploymentUpdate(parameters=parameters))


def test_cancelled_run_is_recorded_and_the_next_goes_on(
    deployed: Api, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """Cancelled in the UI, a run ends `Cancelled`, its manifest says interrupted, and
    the next repeats nothing.
    """
    from prefect.states import Cancelling

    path = experiment_file(tmp_path, delay_s=0.3)
    run_id = deployed.run("evaluate/evaluate", experiment=str(path))
    wait_for_calls(tmp_path, CASES // 2)

    deployed.ask(lambda client: client.set_flow_run_state(run_id, Cancelling()))
    cancelled = deployed.ended(run_id)
    manifest = last_run(tmp_path).manifest
    again = deployed.ended(deployed.run("evaluate/evaluate", experiment=str(path)))

    assert ("Cancelled", "Completed") == (cancelled.state.name, again.state.name)
    assert ("failed", "interrupted") == (manifest.status.value, manifest.error)
    assert not {"Running", "Pending"} & set(deployed.task_states(run_id).values())
    assert CASES <= len(calls(tmp_path)) <= CASES + IN_FLIGHT
    assert tables_of(undisturbed(tmp_path)) == tables_of(last_run(tmp_path))


def test_killed_process_of_a_run_is_a_crash_and_a_rerun_goes_on(
    deployed: Api, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """After `kill -9` of the process of a run the worker calls it Crashed; a rerun
    repeats the rows in flight.
    """
    path = experiment_file(tmp_path, delay_s=0.3)
    run_id = deployed.run("evaluate/evaluate", experiment=str(path))
    wait_for_calls(tmp_path, CASES // 2)

    for child in psutil.Process(worker.pid).children(recursive=True):
        child.kill()
    crashed = deployed.ended(run_id)
    again = deployed.ended(deployed.run("evaluate/evaluate", experiment=str(path)))

    assert ("Crashed", "Completed") == (crashed.state.name, again.state.name)
    assert CASES <= len(calls(tmp_path)) <= CASES + IN_FLIGHT
    assert tables_of(undisturbed(tmp_path)) == tables_of(last_run(tmp_path))


def test_run_outlives_its_worker(deployed: Api, tmp_path: Path) -> None:
    """After `kill -9` of the worker alone the run under way comes to its end and
    records it.
    """
    process = start_worker(deployed)
    path = experiment_file(tmp_path, delay_s=0.2)
    run_id = deployed.run("evaluate/evaluate", experiment=str(path))
    wait_for_calls(tmp_path, CASES // 4)

    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ended = deployed.ended(run_id)

    assert "Completed" == ended.state.name
    assert CASES == len(calls(tmp_path))


@pytest.mark.timeout(400)
def test_run_whose_machine_went_away_is_found_to_have_crashed(
    deployed: Api, tmp_path: Path
) -> None:
    """After `kill -9` of worker and run, the automation makes of the silent run a
    crashed one; a rerun goes on.
    """
    from deployments.serve import create_automations

    deployed.ask(lambda client: create_automations())
    process = start_worker(deployed)
    path = experiment_file(tmp_path, delay_s=0.3)
    run_id = deployed.run("evaluate/evaluate", experiment=str(path))
    wait_for_calls(tmp_path, CASES // 2)

    kill_with_children(process)
    state_at_first = deployed.flow_run(run_id).state.name

    crashed = deployed.ended(run_id, within_s=240)

    assert ("Running", "Crashed") == (state_at_first, crashed.state.name)
    assert "No heartbeat" in crashed.state.message
