"""Driving a run: how many shards at once, and in which order they are added."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from themis_lib import DatasetError, Experiment, InMemoryRunStore
from themis_lib.identity.part import Part
from themis_lib.runs.drive import run_shards
from themis_lib.runs.run import Run
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard


def started_run(cases: list[dict[str, Any]]) -> Run:
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "datasets": [{"dataset_id": "d", "cases": cases}],
        "runtime": {"shard_size": 1},
    }
    store = InMemoryRunStore()
    return Run(Experiment.model_validate(spec).compile(), store)


@pytest.mark.parametrize("window", [1, 3])
def test_no_more_shards_at_once_than_the_window(window: int) -> None:
    """As many shards as the window are in flight, and they are added in order."""
    run = started_run([{"case_id": f"c{n}", "input": str(n)} for n in range(8)])
    in_flight: set[int] = set()
    most = 0

    async def run_here(stage: Stage, shard: Shard) -> Part:
        nonlocal most
        in_flight.add(shard.index)
        most = max(most, len(in_flight))
        # Later shards end first: their order must not depend on it.
        await asyncio.sleep(0.002 * (8 - shard.index))
        part = await run_stage(
            stage, shard, run.store, run_id=run.run_id, progress=run.progress
        )
        if stage is run.pipeline.reduce:
            in_flight.discard(shard.index)
        run.progress.finish(stage.label, part)
        return part

    with run:
        asyncio.run(run_shards(run, run_here, window=window))
        result = run.finish()

    assert window == most
    assert [f"c{n}" for n in range(8)] == [item.case.case_id for item in result.cases]


def test_first_failure_stops_the_others() -> None:
    """What a stage raises ends the run as it is."""
    run = started_run([{"case_id": f"c{n}", "input": str(n)} for n in range(4)])
    ran: list[int] = []

    async def fail(stage: Stage, shard: Shard) -> Part:
        ran.append(shard.index)
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"), run:
        asyncio.run(run_shards(run, fail, window=1))

    assert [0] == ran


def test_bad_data_is_found_before_anything_runs() -> None:
    """All data is read before the first shard is evaluated."""
    run = started_run([{"case_id": "c", "input": "x"}])
    bad = run.pipeline.experiment.datasets[0]
    run.pipeline.experiment.datasets.append(bad)
    ran: list[str] = []

    async def note(stage: Stage, shard: Shard) -> Part:
        ran.append(stage.label)
        return Part(path="", rows=0)

    with pytest.raises(DatasetError), run:
        asyncio.run(run_shards(run, note, window=1))

    assert [] == ran
