"""Drives a run: shards through the stages, a few at a time, their tables written in
order.
"""

from __future__ import annotations

import asyncio
from collections import deque

from themis_lib.runs.agreement import check_labels
from themis_lib.runs.pipeline import RunStage
from themis_lib.runs.run import Run
from themis_lib.runs.summary import check_columns
from themis_lib.storage.shard import Shard


async def run_shards(
    run: Run, run_stage: RunStage, *, window: int, spread: bool = False
) -> None:
    """Evaluate every shard, at most `window` at once, and add each to the run in its
    turn.

    A deterministic generator is given one shard at a time in process (`window=1`), so
    that what two shards share is computed once. `spread` cuts the data into smaller
    shards, for several processes.
    """
    waiting = deque(await asyncio.to_thread(_cut, run, spread))
    started: deque[asyncio.Task[Shard]] = deque()
    adding: asyncio.Future[None] | None = (
        None  # tables of a shard are written while the next one is evaluated
    )
    try:
        while waiting or started:
            while waiting and len(started) < window:
                evaluation = run.pipeline.evaluate_shard(waiting.popleft(), run_stage)
                started.append(asyncio.ensure_future(evaluation))
            shard = await started.popleft()
            if adding:
                await adding
            adding = asyncio.ensure_future(asyncio.to_thread(run.add, shard))
        if adding:
            await adding
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(
            *started, *([adding] if adding else []), return_exceptions=True
        )


def _cut(run: Run, spread: bool) -> list[Shard]:
    """All shards, before the first is evaluated: a bad line at the end of a dataset is
    found before money is spent.
    """
    shards = list(run.pipeline.shards(run.store, spread=spread))
    evaluation = run.pipeline.experiment.evaluation
    check_columns(evaluation, shards, run.store)
    check_labels(evaluation.agreement, shards, run.store)
    for shard in shards:
        run.expect(shard)
    return shards
