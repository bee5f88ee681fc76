"""Submits stages to the orchestrator: one task for each shard, cached, retried and bounded by it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prefect.futures import PrefectFuture
from prefect.tasks import Task, exponential_backoff

from tasks.caching import StoredRows, cache_key
from tasks.worker import SUBMITTED
from themis_lib.core.pipeline import RunStage
from themis_lib.core.run import Run
from themis_lib.core.stage import Shard, Stage
from themis_lib.core.tables import Part
from themis_lib.errors import ShardError


def submitting(run: Run, task: Task[..., Any], *, storage: Path | StoredRows) -> RunStage:
    """A way to run a stage: submit its task for a shard and await the reference to the shard's table."""
    runtime = run.pipeline.experiment.runtime
    configured = task.with_options(
        result_storage=storage,
        retries=runtime.retries,
        retry_delay_seconds=exponential_backoff(runtime.retry_delay_s),
    )
    fresh = configured.with_options(refresh_cache=True)

    async def submit(stage: Stage, shard: Shard) -> Part:
        known = await asyncio.to_thread(stage.row_set(run.store).shard, stage.shard_name(shard))
        future = (fresh if known is None else configured).submit(
            work=_work(run, stage, shard),
            label=f"{stage.label} {shard.label}",
            cache_key=cache_key(stage, shard, run.store),
        )
        SUBMITTED[run.run_id] += 1
        part = await _part(future)
        run.progress.finish(stage.label, part)
        return part

    return submit


def _work(run: Run, stage: Stage, shard: Shard) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "experiment": run.pipeline.experiment.portable_json(),
        "store": run.store.url,
        "stage": stage.label,
        "shard": shard.to_json(),
    }


async def _part(future: PrefectFuture[Any]) -> Part:
    """The reference to a shard's table; where rows failed for good, the table that says so."""
    await _finished(future)
    value = await future.state.aresult(raise_on_failure=False)
    if isinstance(value, ShardError):
        return value.part
    if isinstance(value, BaseException):
        raise value
    return Part(**value)


async def _finished(future: PrefectFuture[Any]) -> None:
    """Wait for a task to end without holding a thread while it runs."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def notify(_: PrefectFuture[Any]) -> None:
        loop.call_soon_threadsafe(done.set)

    future.add_done_callback(notify)
    await done.wait()
    await asyncio.to_thread(future.wait)
