"""Submits stages to Prefect: one task for each shard, cached and retried by it.

A shard whose table is in the store is answered in this process, whatever the runner:
a run that is fully cached starts no workers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from themis_lib.telemetry.tracing import traceparent

# The tasks of each run. Process-wide, since the code that waits for their record on the
# server, after the flow has returned, knows only the run's id.
_SUBMITTED: defaultdict[str, list[PrefectFuture[Any]]] = defaultdict(list)


class LostWorkerError(ThemisError):
    """A worker process ended in the middle of a shard."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"a worker process ended in the middle of a shard ({said}): killed, or out "
            "of memory; finished rows are saved. Run it again, with fewer workers or a "
            "smaller runtime.shard_size"
        )


def submitting(
    run: Run,
    tasks: Mapping[str, Task[..., Any]],
    *,
    storage: Path | StoredRows,
    runner: TaskRunner[Any],
) -> RunStage:
    """Return a way to run a stage of a run on Prefect.

    It submits the stage's task for a shard and awaits the reference to its table.
    """
    experiment = run.pipeline.experiment
    runtime = experiment.runtime
    url = experiment.storage.portable_url(run.store.url)
    is_remote = not isinstance(runner, ThreadPoolTaskRunner)
    run_work = {
        "run_id": run.run_id,
        # Threads find the run in their process; a live object in it need not travel.
        "experiment": experiment.portable_json() if is_remote else None,
        "store": run.store.root if run.store.local else url,
    }
    cached: dict[str, Task[..., Any]] = {}
    fresh: dict[str, Task[..., Any]] = {}
    for name, task in tasks.items():
        cached[name] = task.with_options(
            result_storage=storage,
            retries=runtime.retries,
            retry_delay_seconds=exponential_backoff(runtime.retry_delay_s),
        )
        # Prefect knows nothing of the Parquet: where it is missing, a cached result
        # would lead to a table that does not exist.
        fresh[name] = cached[name].with_options(refresh_cache=True)

    async def submit(
        stage: Stage,
        shard: Shard,
    ) -> Part:
        shard_name = stage.shard_name(shard, run.store)
        known = await asyncio.to_thread(stage.row_set(run.store).shard, shard_name)
        # Nothing of it is in the cache key.
        parent = traceparent()
        traced_by = {} if parent is None else {"traceparent": parent}
        # References, not rows: Prefect walks through the arguments of every task.
        arguments = {
            "work": {
                **run_work,
                **traced_by,
                "stage": stage.label,
                "fingerprint": stage.fingerprint,
                "depends_on": dict(stage.depends_on),
                "shard": shard.to_json(),
                "shard_name": shard_name,
            },
            "label": f"{stage.label} {shard.label}",
            "cache_key": cache_key(stage, shard, run.store),
        }
        if known:
            future = cached[stage.name].submit(**arguments)
        else:
            future = runner.submit(fresh[stage.name], arguments)
        _SUBMITTED[run.run_id].append(future)
        part = await _await_part(future)
        # In this process, rows are counted as they are computed.
        if is_remote and not known:
            run.progress.advance_by(stage.label, part)
        # Prefect's result has the counts of the run that made it, and the file of then.
        part = replace(known, cached=known.rows) if known else part
        run.progress.finish(stage.label, part)
        return part

    return submit


def ended_tasks(run_id: str) -> int:
    """Return how many tasks of a run the server will record as ended.

    Call it once the run's task runner is closed, and once only: it forgets the tasks.
    """
    count = 0
    for future in _SUBMITTED.pop(run_id, ()):
        pool_future = _pool_future(future)
        # A task that was dropped from the queue before it began was never reported.
        if pool_future is not None and pool_future.cancelled():
            continue
        if not _is_lost(future):
            count += 1
    return count


async def close_lost_tasks(run_id: str) -> None:
    """Set to `Crashed` on the server the run's tasks whose processes died."""
    lost = [future for future in _SUBMITTED[run_id] if _is_lost(future)]
    await close_lost([future.task_run_id for future in lost])


def _pool_future(future: PrefectFuture[Any]) -> Future[Any] | None:
    """Return the future of this machine's pool; clusters have others, or none."""
    wrapped = getattr(future, "wrapped_future", None)
    return wrapped if isinstance(wrapped, Future) else None


def _is_lost(future: PrefectFuture[Any]) -> bool:
    """Return whether a task's process died in the middle; clusters do not tell."""
    pool_future = _pool_future(future)
    if pool_future is None or not pool_future.done():
        return False
    # `exception()` of a cancelled future raises.
    if pool_future.cancelled():
        return False
    return isinstance(pool_future.exception(), BrokenExecutor)


async def _await_part(future: PrefectFuture[Any]) -> Part:
    """Return the reference to a task's table once the task has ended.

    Where rows failed for good, that is the table which says so. Raise
    `LostWorkerError` if the task's process died and could not say how it ended.
    """
    # `future.wait()` would hold a thread for as long as the task runs.
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def notify(_: PrefectFuture[Any]) -> None:
        loop.call_soon_threadsafe(done.set)

    try:
        future.add_done_callback(notify)
        await done.wait()
        await asyncio.to_thread(future.wait)
        state = future.state
    except BrokenExecutor as error:
        raise LostWorkerError(describe(error)) from None
    if not state.is_final():
        raise LostWorkerError(str(state.name))
    value = await state.aresult(raise_on_failure=False)
    if isinstance(value, ShardError):
        return value.part
    if isinstance(value, BaseException):
        raise value
    return Part(**value)
