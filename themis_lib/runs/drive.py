"""Drives a run: shards through the stages, a few at a time, added to it in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from themis_lib.runs.agreement import check_labels
from themis_lib.runs.pipeline import RunStage
from themis_lib.runs.references import check_expected_outputs
from themis_lib.runs.run import Run
from themis_lib.runs.sendable import check_inputs
from themis_lib.runs.summary import check_columns
from themis_lib.storage.shard import Shard


async def run_shards(
    run: Run,
    run_stage: RunStage,
    *,
    window: int,
    spread: bool = False,
) -> None:
    """Evaluate every shard, at most `window` at once, and add each to the run in turn.

    In process, a deterministic generator is given one shard at a time (`window=1`), so
    that rows which two shards share are computed once. `spread` cuts the data into
    smaller shards, for several processes.
    """
    shards = await asyncio.to_thread(cut_data, run, spread=spread)
    for shard in shards:
        run.expect(shard)
    await evaluate_shards(run, shards, run_stage, window=window)


async def evaluate_shards(
    run: Run,
    shards: Iterable[Shard],
    run_stage: RunStage,
    *,
    window: int,
) -> None:
    """Evaluate some shards that a run expects, and add each to it in turn."""
    run_stage = run.spans.around(run_stage)
    waiting = deque(shards)
    started: deque[asyncio.Task[Shard]] = deque()
    # The tables of a shard are written while the next one is evaluated.
    adding: asyncio.Future[None] | None = None
    try:
        while waiting or started:
            while waiting and len(started) < window:
                evaluation = run.pipeline.evaluate_shard(waiting.popleft(), run_stage)
                started.append(asyncio.ensure_future(evaluation))
            # In the order of the data, not of completion: tables are written in it.
            shard = await started.popleft()
            if adding is not None:
                await adding
            adding = asyncio.ensure_future(asyncio.to_thread(run.add, shard))
        if adding is not None:
            await adding
    finally:
        # After an error or Ctrl-C: no call may be in flight once this returns.
        for task in started:
            task.cancel()
        unfinished: list[asyncio.Future[Any]] = [*started]
        if adding is not None:
            unfinished.append(adding)
        await asyncio.gather(*unfinished, return_exceptions=True)


def cut_data(
    run: Run,
    *,
    spread: bool = False,
) -> list[Shard]:
    """Return all shards, checked, before the first is evaluated.

    So a bad line at the end of a dataset is found before money is spent.
    """
    shards = list(run.pipeline.shards(run.store, spread=spread))
    evaluation = run.pipeline.experiment.evaluation
    check_columns(evaluation, shards, run.store)
    check_labels(evaluation.agreement, shards, run.store)
    check_expected_outputs(run.pipeline, shards)
    check_inputs(run.pipeline, shards, run.store)
    return shards
