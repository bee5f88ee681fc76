"""The stages as Prefect tasks: when they are retried, and what they return."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import exception_to_failed_state

from tasks.stages import AWAITING_BATCH, STAGE_TASKS, generate, should_retry
from tests.support.batch_runs import batch_experiment, charges
from tests.support.batch_server import BatchServer
from tests.support.counting import CALLS
from tests.support.shard_work import generate_work
from tests.test_edit_costs import base, case
from themis_lib import (
    Experiment,
    FatalError,
    RunStore,
    ShardError,
    TransientError,
)
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.identity.part import Part

PART = Part(path="rows/generate/f/p.parquet", rows=2)


def failed(error: BaseException) -> State[Any]:
    return asyncio.run(exception_to_failed_state(error))


def is_retried(state: State[Any]) -> bool:
    # Neither the task nor its run decides.
    unused: Any = None
    return asyncio.run(should_retry(unused, unused, state))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ShardError("2 rows failed", part=PART, transient=True), True),
        (ShardError("2 rows failed", part=PART, transient=False), False),
        (TransientError("503: overloaded"), True),
        (TimeoutError("too late"), True),
        (ConnectionError("lost"), True),
        (FatalError("401: check the API key"), False),
        (ValueError("a defect"), False),
    ],
    ids=repr,
)
def test_reasons_that_may_pass_are_retried(
    error: BaseException, expected: bool
) -> None:
    """A shard says so itself; of other errors, a busy provider and a lost connection
    may pass.
    """
    assert expected == is_retried(failed(error))


def test_each_stage_has_a_task_of_its_name() -> None:
    """The UI tells task runs apart by the stage's name."""
    assert ["generate", "parse", "judge", "score", "reduce"] == list(STAGE_TASKS)
    assert list(STAGE_TASKS) == [task.name for task in STAGE_TASKS.values()]


def test_tasks_have_no_tags() -> None:
    """Each tag of a task would cost requests for a concurrency limit."""
    assert {frozenset()} == {frozenset(task.tags) for task in STAGE_TASKS.values()}


def test_results_are_kept_as_json() -> None:
    """Never as a pickle, which another release could not read."""
    assert {("json", True)} == {
        (task.result_serializer, task.persist_result) for task in STAGE_TASKS.values()
    }


def work_of(
    folder: Path, generator: dict[str, Any], numbers: tuple[int, ...]
) -> dict[str, Any]:
    """The first shard of a small experiment, as a task gets it."""
    spec = base(folder / "store")
    spec["datasets"][0]["cases"] = [case(number) for number in numbers]
    spec["generation"]["generator"] = generator
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    store = RunStore(str(folder / "store"))
    pipeline = experiment.compile()
    shard = next(pipeline.shards(store))
    return generate_work(folder.name, experiment, pipeline, store, shard)


def run_task(
    api_url: str, folder: Path, work: dict[str, Any]
) -> tuple[State[Any], Any]:
    """The state that a task ends in, and what it returns or the error it ends with."""
    storage = folder / "tasks"
    with temporary_settings({PREFECT_API_URL: api_url}):
        task = generate.with_options(result_storage=storage, retries=1)
        state = task(work, "generate d 0-1", "generate/key", return_state=True)
        return state, asyncio.run(state.aresult(raise_on_failure=False))


def run_shard(
    api_url: str,
    folder: Path,
    generator: dict[str, Any],
    numbers: tuple[int, ...] = (0, 1),
) -> Any:
    """What the task for one shard returns, or the error that it ends with."""
    _, value = run_task(api_url, folder, work_of(folder, generator, numbers))
    return value


def test_task_returns_the_reference_to_its_rows(
    prefect_api: str, tmp_path: Path
) -> None:
    """What the task returns, and keeps under its cache key, is the reference as
    JSON.
    """
    CALLS.clear()

    value = run_shard(
        prefect_api, tmp_path, {"use": "tests.support.counting:Generator"}
    )

    part = RunStore(str(tmp_path / "store")).read_part(value["path"])
    assert part is not None
    assert (4, 4, 4) == (CALLS["generate"], value["computed"], part.rows)
    kept = json.loads((tmp_path / "tasks/generate/key").read_text())
    assert value == json.loads(kept["result"])


def test_task_is_retried_for_the_rows_that_failed(
    prefect_api: str, tmp_path: Path
) -> None:
    """The row that succeeded is not computed again, and the error of the last try has
    the table with all rows.
    """
    generator = {"use": "tests.support.unsteady:Unsteady", "folder": str(tmp_path)}

    error = run_shard(prefect_api, tmp_path, generator, numbers=(1, 5))

    calls = (tmp_path / "calls").read_text().split("\n")
    tried = Counter(line.split()[1] for line in calls if line)
    assert {"1/11": 1, "1/12": 1, "5/11": 2, "5/12": 2} == tried
    assert isinstance(error, ShardError)
    assert error.transient
    assert (4, 2) == (error.part.rows, error.part.failed)


def batch_work(folder: Path, server: BatchServer, run_id: str) -> dict[str, Any]:
    """The shard of an experiment whose run does not wait for its batch."""
    experiment = batch_experiment(
        server, storage={"store": str(folder / "store")}, wait=False
    )
    store = RunStore(str(folder / "store"))
    pipeline = experiment.compile()
    shard = next(pipeline.shards(store))
    return generate_work(run_id, experiment, pipeline, store, shard)


def test_task_that_waits_for_a_batch_is_not_failed(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state names the batch and leads to the table. It is not tried again, and
    nothing is kept: the next task looks at the batch.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    with BatchServer(batch_s=3600) as server:
        first = batch_work(tmp_path, server, f"{tmp_path.name}-1")
        state, value = run_task(prefect_api, tmp_path, first)
        looks = server.asked.count(("GET", "/v1/batches/batch_1"))
        kept = [path for path in (tmp_path / "tasks").rglob("*") if path.is_file()]
        server.end_batches()
        second = batch_work(tmp_path, server, f"{tmp_path.name}-2")
        ended, part = run_task(prefect_api, tmp_path, second)

    assert (AWAITING_BATCH, StateType.COMPLETED) == (state.name, state.type)
    assert (
        "generate questions 0-9: 10 row(s) wait for batch_1: in_progress, 0 of 10 rows"
    ) == state.message
    assert (10, 10, 1) == (value["rows"], value["failed"], looks)
    assert [] == kept
    assert ("Completed", 10, 10) == (ended.name, part["computed"], part["rows"])
    assert (tmp_path / "tasks/generate/key").exists()
    assert {1: 10} == charges(server)
