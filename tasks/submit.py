"""Submits stages to the orchestrator: one task for each shard, cached, retried and bounded by it.

A shard whose table is there is answered in this process, whatever the runner: a run of which everything is cached
starts no workers.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task, exponential_backoff

from tasks.caching import StoredRows, cache_key
from tasks.worker import SUBMITTED
from themis_lib.core.pipeline import RunStage
from themis_lib.core.run import Run
from themis_lib.core.stage import Shard, Stage
from themis_lib.core.tables import Part
from themis_lib.errors import ShardError, ThemisError, describe


class LostWorkerError(ThemisError):
    """A worker process ended in the middle of a shard."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"a worker process ended in the middle of a shard ({said}): killed, or out of memory; finished rows are "
            "saved. Run it again, with fewer workers or a smaller runtime.shard_size"
        )


def submitting(run: Run, task: Task[..., Any], *, storage: Path | StoredRows, runner: TaskRunner[Any]) -> RunStage:
    """A way to run a stage: submit its task for a shard and await the reference to the shard's table."""
    experiment = run.pipeline.experiment
    runtime = experiment.runtime
    elsewhere = not isinstance(runner, ThreadPoolTaskRunner)
    travelling = {
        "run_id": run.run_id,
        "experiment": experiment.portable_json() if elsewhere else None,
        "store": run.store.root if run.store.local else run.store.url,
    }
    configured = task.with_options(
        result_storage=storage,
        retries=runtime.retries,
        retry_delay_seconds=exponential_backoff(runtime.retry_delay_s),
    )
    fresh = configured.with_options(refresh_cache=True)

    async def submit(stage: Stage, shard: Shard) -> Part:
        known = await asyncio.to_thread(stage.row_set(run.store).shard, stage.shard_name(shard))
        parameters = {
            "work": {**travelling, "stage": stage.label, "shard": shard.to_json()},
            "label": f"{stage.label} {shard.label}",
            "cache_key": cache_key(stage, shard, run.store),
        }
        SUBMITTED[run.run_id] += 1
        try:
            part = await _part(configured.submit(**parameters) if known else runner.submit(fresh, parameters))
        except LostWorkerError:
            del SUBMITTED[run.run_id]  # what was lost will never be on record
            raise
        if elsewhere and not known:
            run.progress.advance_by(stage.label, part)
        run.progress.finish(stage.label, part)
        return part

    return submit


async def _part(future: PrefectFuture[Any]) -> Part:
    """The reference to a shard's table; where rows failed for good, the table that says so."""
    state = await _final_state(future)
    value = await state.aresult(raise_on_failure=False)
    if isinstance(value, ShardError):
        return value.part
    if isinstance(value, BaseException):
        raise value
    return Part(**value)


async def _final_state(future: PrefectFuture[Any]) -> State[Any]:
    """How a task ended. Raises `LostWorkerError` when its process did, and could not say."""
    try:
        await _finished(future)
        state = future.state
    except BrokenExecutor as error:
        raise LostWorkerError(describe(error)) from None
    if not state.is_final():
        raise LostWorkerError(str(state.name))
    return state


async def _finished(future: PrefectFuture[Any]) -> None:
    """Wait for a task to end without holding a thread while it runs."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def notify(_: PrefectFuture[Any]) -> None:
        loop.call_soon_threadsafe(done.set)

    future.add_done_callback(notify)
    await done.wait()
    await asyncio.to_thread(future.wait)
