"""Stages submitted to Prefect: what is awaited, what is counted, and what is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.runners import task_runner
from tasks.stages import STAGE_TASKS
from tasks.submit import LostWorkerError, ended_tasks, submitting
from tasks.worker import register, unregister
from tests.support.counting import CALLS
from tests.test_edit_costs import base, case
from themis_lib import Experiment, FatalError, RunStore
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.identity.part import Part
from themis_lib.runs.run import Run
from themis_lib.storage.rows import RowSet


@dataclass
class Submitted:
    """What came of submitting every shard of a run's first stage."""

    run: Run
    parts: list[Part] = field(default_factory=list)

    def ended(self) -> int:
        return ended_tasks(self.run.run_id)


def run_of(folder: Path, *numbers: int, generator: dict[str, Any] | None = None) -> Run:
    """A run of these cases, two to a shard."""
    spec = base(folder / "store")
    spec["datasets"][0]["cases"] = [case(number) for number in numbers]
    spec["runtime"].update(retries=1, retry_delay_s=0.01)
    if generator:
        spec["generation"]["generator"] = generator
    pipeline = experiment_from_spec(Experiment, spec, where="spec").compile()
    return Run(pipeline, RunStore(str(folder / "store")))


def rows_in(folder: Path) -> RowSet:
    """The rows of the first stage, by somebody who knows of none yet."""
    run = run_of(folder, 0)
    return run.pipeline.generate.row_set(run.store)


def submit_all(
    api_url: str,
    run: Run,
    *,
    is_over: bool = False,
) -> Submitted:
    """Submit the first stage of a run for all its shards, in one flow run.

    `is_over` stops the run before it submits.
    """
    found = Submitted(run)

    @flow(name="submitting", persist_result=False)
    async def submit_shards() -> None:
        stage = run.pipeline.generate
        storage = Path(run.store.locate("tasks"))
        with task_runner("threads", 1, run.run_id) as place, run:
            register(run)
            try:
                if is_over:
                    unregister(run)
                submit = submitting(run, STAGE_TASKS, storage=storage, runner=place)
                for shard in run.pipeline.shards(run.store):
                    run.expect(shard)
                    found.parts.append(await submit(stage, shard))
            finally:
                unregister(run)

    with temporary_settings({PREFECT_API_URL: api_url}):
        asyncio.run(submit_shards())
    return found


def test_every_shard_is_computed_and_found(prefect_api: str, tmp_path: Path) -> None:
    """A shard's reference leads to its rows; progress counts them once, and each task
    is one that the server will record.
    """
    CALLS.clear()

    found = submit_all(prefect_api, run_of(tmp_path, 0, 1, 2))

    progress = found.run.progress.stages()["generate"]
    assert 6 == CALLS["generate"] == progress.computed == progress.done
    assert [4, 2] == [part.rows for part in found.parts]
    for part in found.parts:
        stored = RunStore(str(tmp_path / "store")).read_part(part.path)
        assert stored == replace(part, computed=0)
    assert [2, 0] == [found.ended(), found.ended()]


def test_cached_shard_is_not_computed_again(prefect_api: str, tmp_path: Path) -> None:
    """The second run gets the same references, and counts the rows as cached."""
    first = submit_all(prefect_api, run_of(tmp_path, 0, 1))
    CALLS.clear()

    second = submit_all(prefect_api, run_of(tmp_path, 0, 1))

    progress = second.run.progress.stages()["generate"]
    assert {} == CALLS
    assert (0, 4) == (progress.computed, progress.cached)
    assert [part.path for part in first.parts] == [part.path for part in second.parts]


def test_cached_shard_is_where_the_store_has_it(
    prefect_api: str, tmp_path: Path
) -> None:
    """Prefect's reference may lead to the file of a shard that came back as pieces."""
    (first,) = submit_all(prefect_api, run_of(tmp_path, 0, 1)).parts
    run = run_of(tmp_path, 0, 1)
    table = run.store.read_table(first.path)
    assert table is not None
    rows = run.pipeline.generate.row_set(run.store)
    rows.save(table.replace_schema_metadata(None))
    run.store.remove(first.path)
    name = Path(first.path).stem
    back = rows_in(tmp_path).publish(name, table.replace_schema_metadata(None))

    (second,) = submit_all(prefect_api, run_of(tmp_path, 0, 1)).parts

    assert [".parquet", ".pieces"] == [Path(p.path).suffix for p in (first, back)]
    assert replace(back, cached=4) == second


def test_shard_whose_rows_are_gone_is_computed_again(
    prefect_api: str, tmp_path: Path
) -> None:
    """Prefect's cached result would lead to a table that does not exist."""
    (part,) = submit_all(prefect_api, run_of(tmp_path, 0, 1)).parts
    folder = (tmp_path / "store" / part.path).parent
    for file in folder.iterdir():
        file.unlink()
    CALLS.clear()

    (again,) = submit_all(prefect_api, run_of(tmp_path, 0, 1)).parts

    assert 4 == CALLS["generate"] == again.computed
    assert part.path == again.path


def test_failed_rows_are_in_the_table(prefect_api: str, tmp_path: Path) -> None:
    """Where rows failed for good the reference is to the table that says so, and
    nothing is raised.
    """
    generator = {"use": "tests.support.unsteady:Unsteady", "folder": str(tmp_path)}
    run = run_of(tmp_path, 1, 5, generator=generator)

    (part,) = submit_all(prefect_api, run).parts

    calls = (tmp_path / "calls").read_text().split("\n")
    assert {"1/11": 1, "1/12": 1, "5/11": 2, "5/12": 2} == Counter(
        line.split()[1] for line in calls if line
    )
    assert (4, 2) == (part.rows, part.failed)


def test_run_that_is_over_submits_nothing(prefect_api: str, tmp_path: Path) -> None:
    """What a task raises, other than failed rows, is raised again as it is."""
    CALLS.clear()
    run = run_of(tmp_path, 0, 1)

    with pytest.raises(FatalError, match=f"run {run.run_id} has ended"):
        submit_all(prefect_api, run, is_over=True)

    assert {} == CALLS


def test_lost_worker_says_what_to_do() -> None:
    """The message has what is known of the end, that rows are saved, and two
    remedies.
    """
    assert (
        "a worker process ended in the middle of a shard (killed): killed, or out of "
        "memory; finished rows are saved. Run it again, with fewer workers or a smaller "
        "runtime.shard_size"
    ) == str(LostWorkerError("killed"))
