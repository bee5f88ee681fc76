"""Submits stages to the orchestrator: one task for each shard, cached, retried and
bounded by it.

A shard whose table is there is answered in this process, whatever the runner: a run of
which everything is cached starts no workers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task, exponential_backoff

from tasks.caching import StoredRows, cache_key
from tasks.crashed import close_lost
from themis_lib.errors import ShardError, ThemisError, describe
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import RunStage
from themis_lib.runs.run import Run
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard

#: The tasks of each run, so that whoever leaves can wait until all of them are on
#: record.
_SUBMITTED: defaultdict[str, list[PrefectFuture[Any]]] = defaultdict(list)


class LostWorkerError(ThemisError):
    """A worker process ended in the middle of a shard."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"a worker process ended in the middle of a shard ({said}): killed, or out of memory; finished rows are "
            "saved. Run it again, with fewer workers or a smaller runtime.shard_size"
        )


def submitting(
    run: Run,
    tasks: Mapping[str, Task[..., Any]],
    *,
    storage: Path | StoredRows,
    runner: TaskRunner[Any],
) -> RunStage:
    """A way to run a stage: submit the stage's task for a shard and await the reference
    to the shard's table.
    """
    experiment = run.pipeline.experiment
    runtime = experiment.runtime
    elsewhere = not isinstance(runner, ThreadPoolTaskRunner)
    travelling = {
        "run_id": run.run_id,
        "experiment": experiment.portable_json() if elsewhere else None,
        "store": run.store.root if run.store.local else run.store.url,
    }
    configured = {
        name: task.with_options(
            result_storage=storage,
            retries=runtime.retries,
            retry_delay_seconds=exponential_backoff(runtime.retry_delay_s),
        )
        for name, task in tasks.items()
    }
    fresh = {
        name: task.with_options(refresh_cache=True) for name, task in configured.items()
    }

    async def submit(
        stage: Stage,
        shard: Shard,
    ) -> Part:
        known = await asyncio.to_thread(
            stage.row_set(run.store).shard, stage.shard_name(shard)
        )
        parameters = {
            "work": {**travelling, "stage": stage.label, "shard": shard.to_json()},
            "label": f"{stage.label} {shard.label}",
            "cache_key": cache_key(stage, shard, run.store),
        }
        if known:
            future = configured[stage.name].submit(**parameters)
        else:
            future = runner.submit(fresh[stage.name], parameters)
        _SUBMITTED[run.run_id].append(future)
        part = await _await_part(future)
        if elsewhere and not known:
            run.progress.advance_by(stage.label, part)
        run.progress.finish(stage.label, part)
        return part

    return submit


def ended_tasks(run_id: str) -> int:
    """How many tasks of a run have come to an end, of which the server is told: once
    the run's runner is closed.
    """
    return sum(
        not _is_dropped(future) and not _is_lost(future)
        for future in _SUBMITTED.pop(run_id, ())
    )


async def close_lost_tasks(run_id: str) -> None:
    """Tell the server of tasks that they have crashed, since the processes that
    computed them cannot.
    """
    await close_lost(
        [future.task_run_id for future in _SUBMITTED[run_id] if _is_lost(future)]
    )


def _is_dropped(future: PrefectFuture[Any]) -> bool:
    """Whether a task was taken out of the queue before it began; clusters do not tell."""
    wrapped = getattr(future, "wrapped_future", None)
    return isinstance(wrapped, Future) and wrapped.cancelled()


def _is_lost(future: PrefectFuture[Any]) -> bool:
    """Whether a task's process ended in the middle of it; clusters do not tell."""
    wrapped = getattr(future, "wrapped_future", None)
    if not isinstance(wrapped, Future) or wrapped.cancelled() or not wrapped.done():
        return False
    return isinstance(wrapped.exception(), BrokenExecutor)


async def _await_part(future: PrefectFuture[Any]) -> Part:
    """The reference to a shard's table; where rows failed for good, the table that says
    so.
    """
    state = await _final_state(future)
    value = await state.aresult(raise_on_failure=False)
    if isinstance(value, ShardError):
        return value.part
    if isinstance(value, BaseException):
        raise value
    return Part(**value)


async def _final_state(future: PrefectFuture[Any]) -> State[Any]:
    """How a task ended. Raises `LostWorkerError` when its process did, and could not
    say.
    """
    try:
        await _await_end(future)
        state = future.state
    except BrokenExecutor as error:
        raise LostWorkerError(describe(error)) from None
    if not state.is_final():
        raise LostWorkerError(str(state.name))
    return state


async def _await_end(future: PrefectFuture[Any]) -> None:
    """Wait for a task to end without holding a thread while it runs."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def notify(_: PrefectFuture[Any]) -> None:
        loop.call_soon_threadsafe(done.set)

    future.add_done_callback(notify)
    await done.wait()
    await asyncio.to_thread(future.wait)
