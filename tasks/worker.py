"""What a task finds in its process: the run it works for, and the run's store.

One event loop serves every shard of the process, so that one limiter bounds the
requests in flight and one client serves them all. A task in another process, on this
machine or another, rebuilds its run from the experiment's plain data, once for all
tasks of the process. It returns its counts of rows and tokens with its table.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from typing import Any

from prefect.concurrency.asyncio import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
)
from prefect.concurrency.sync import concurrency
from prefect.events.worker import EventsWorker

from tasks.loop import shared_loop
from themis_lib import Experiment
from themis_lib.components.module_folders import leave_safe_path
from themis_lib.core.config import StorageConfig
from themis_lib.core.prices import TierUsage
from themis_lib.errors import FatalError, ShardError
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.run import Run
from themis_lib.stages.dependencies import depending_on
from themis_lib.stages.progress import Progress, StepProgress
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore, open_store
from themis_lib.telemetry.tracing import send_waiting, traced

#: How long a process waits for what it has stopped, in seconds.
_PATIENCE_S = 5.0
# Process-wide: Prefect passes plain data to a task, in whose thread nothing else leads
# to the run that the flow has open.
_RUNS: dict[str, Run] = {}
# Process-wide: tasks and Prefect's reads of their results share one store, which knows
# the files that it has seen and does not list them again.
_STORES: dict[str, RunStore] = {}
_STORES_LOCK = threading.Lock()
# Set once the process is to leave, for good.
_LEAVING = threading.Event()
#: Called with the run when a flow of this context starts one, for a display that
#: follows it.
OBSERVER: ContextVar[Callable[[Run], None] | None] = ContextVar(
    "observer",
    default=None,
)


def observe(run: Run) -> None:
    """Show a run to the context's observer, if there is one."""
    observer = OBSERVER.get()
    if observer:
        observer(run)


def register(run: Run) -> None:
    """Let the tasks of this process find a run and its store."""
    _RUNS[run.run_id] = run
    with _STORES_LOCK:
        _STORES[run.store.url] = run.store


def unregister(run: Run) -> None:
    """Forget a run that has ended, and stop its tasks, as `end_tasks` does."""
    end_tasks(run.run_id)
    _RUNS.pop(run.run_id, None)
    with _STORES_LOCK:
        _STORES.pop(run.store.url, None)


def end_tasks(run_id: str) -> None:
    """Stop a run's tasks in this process, and refuse those that have not begun."""
    shared_loop().cancel(run_id)


def check_running(run_id: str) -> None:
    """Raise `FatalError` if a run has ended in this process: no shard may begin."""
    if _LEAVING.is_set():
        raise FatalError(f"run {run_id} has ended")
    shared_loop().check_open(run_id)


def compute_shard(work: Mapping[str, Any]) -> Part:
    """Run one stage over one shard, as `work` describes it.

    Raise `ShardError` if rows failed, and `FatalError` if the run has ended in this
    process before the shard's turn.
    """
    run_id: str = work["run_id"]
    run = _RUNS.get(run_id)
    check_running(run_id)
    if run is not None:
        place = _Place(run.pipeline, run.store, run.progress)
        return place.run_stage(work)
    # Nobody else counts what this process computes: the counts travel with the part.
    with _REBUILDING:
        pipeline, store = _rebuild_run(run_id, work["experiment"], work["store"])
    progress = _progress_of_tries(run_id, work["stage"], work["shard"]["index"])
    place = _Place(pipeline, store, progress)
    try:
        part = place.run_stage(work)
    except ShardError as error:
        error.part = _with_counts(error.part, progress)
        raise
    finally:
        # The process may be stopped before the next regular sending.
        send_waiting(pipeline.experiment.runtime.telemetry)
    return _with_counts(part, progress)


@dataclass(frozen=True)
class _Place:
    """What a shard is computed with in this process."""

    pipeline: Pipeline
    store: RunStore
    progress: Progress

    def run_stage(self, work: Mapping[str, Any]) -> Part:
        """Run the stage that `work` names over its shard, on the process's loop."""
        run_id = work["run_id"]
        stage = depending_on(self.pipeline.stage(work["stage"]), work["depends_on"])
        if stage.fingerprint != work["fingerprint"]:
            raise FatalError(
                f"{stage.label}: its code, or what its code reads, is not the same here "
                "as in the process that started the run; a value that a script sets in "
                "a module is set in that process alone. Set it in the module, or use "
                "the runner `threads`"
            )
        shard = Shard.from_json(work["shard"])
        # The examples are read in each process, and are in the keys of their rows alone.
        if stage.shard_name(shard, self.store) != work["shard_name"]:
            raise FatalError(
                f"{stage.label}: the pool of the few-shot examples is not the same here "
                "as in the process that started the run; run it again"
            )
        mode = self.pipeline.experiment.runtime.telemetry
        with hold_global_limit(stage, run_id), traced(mode, work.get("traceparent")):
            return shared_loop().run(
                run_id,
                run_stage(
                    stage,
                    shard,
                    self.store,
                    run_id=run_id,
                    progress=self.progress,
                ),
            )


def begin_process(
    run_ends: Connection,
    threads: int,
) -> None:
    """Prepare a worker process, which leaves when the run's end of a pipe is closed.

    The operating system closes it too when the run's process is killed. Local models
    compute with `threads` threads here.
    """
    # A terminal's Ctrl-C reaches every process; the run alone decides, and closes its
    # end of the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_safe_path()
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

    def leave() -> None:
        wait([run_ends])
        _LEAVING.set()
        shared_loop().cancel_all()
        # Long enough for shards to save their rows and for the pool to end by itself.
        time.sleep(_PATIENCE_S)
        # A component still blocks a thread, which `sys.exit` would wait for: without
        # this the process stays for ever. Rows that it has saved are safe.
        os._exit(1)

    threading.Thread(
        target=leave,
        name="leave",
        daemon=True,
    ).start()


def dask_setup(_worker: object) -> None:
    """Prepare a process of a Dask cluster that a run has started; Dask calls it."""
    # As in `begin_process`: a terminal's Ctrl-C is for the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_safe_path()


async def end_dask_tasks(
    run_id: str,
    dask_worker: Any = None,
) -> None:
    """Stop a run's tasks in a Dask process, and wait for Prefect to record their end.

    Dask fills in `dask_worker`.
    """
    end_tasks(run_id)
    deadline = time.monotonic() + _PATIENCE_S
    while dask_worker.state.executing_count and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    # The local cluster is killed next, and with it events that are still in a queue.
    await asyncio.to_thread(EventsWorker.drain_all, timeout=_PATIENCE_S)


@contextmanager
def hold_global_limit(
    stage: Stage,
    run_id: str,
) -> Iterator[None]:
    """Hold a slot of the Prefect concurrency limit that a stage names, if it names one.

    Every process on a server shares such a limit. Raise `FatalError` if the server has
    no limit of that name, or the run has ended while the shard waited.
    """
    name = stage.global_limit
    if name is None:
        check_running(run_id)
        yield
        return
    # Prefect's limits poll, which costs far more than a request: a slot is for a shard.
    with ExitStack() as held:
        while True:
            check_running(run_id)
            try:
                slot = concurrency(
                    name,
                    occupy=1,
                    strict=True,
                    timeout_seconds=_PATIENCE_S,
                )
                held.enter_context(slot)
                break
            except AcquireConcurrencySlotTimeoutError:
                # Wait in short turns: a shard of a stopped run must not wait on.
                continue
            except ConcurrencySlotAcquisitionError:
                raise FatalError(
                    "global_limit: the Prefect server has no concurrency limit "
                    f"{name!r}; create it with `prefect gcl create {name} --limit 8`"
                ) from None
        # The run may have ended while this shard waited.
        check_running(run_id)
        yield


# `lru_cache` alone would build a run once for each thread that asks at the same time.
_REBUILDING = threading.Lock()


# Process-wide: every task of a run shares what is expensive to build, such as a local
# model. Two, since a cluster's process may serve a second run before the first ends.
@lru_cache(maxsize=2)
def _rebuild_run(
    run_id: str,
    experiment: str,
    store: str,
) -> tuple[Pipeline, RunStore]:
    """Return the stages and the store of a run that another process has open."""
    # A part of the cache's key only: a store knows only files that it has seen or
    # written, so the next run looks anew.
    del run_id
    pipeline = Experiment.model_validate_json(experiment).compile()
    storage = pipeline.experiment.storage.model_copy(update={"store": store})
    return pipeline, opened_store(storage)


# Process-wide: Prefect makes all tries of a task in one process, each as a new call.
@lru_cache(maxsize=256)
def _progress_of_tries(
    run_id: str,
    stage: str,
    shard: int,
) -> Progress:
    """Return the counts that all tries of a task share."""
    del run_id, stage, shard
    return Progress()


def opened_store(storage: StorageConfig) -> RunStore:
    """Return the store of this address, opened once in this process."""
    url, options = storage.resolved()
    with _STORES_LOCK:
        if url not in _STORES:
            _STORES[url] = open_store(url, options)
        return _STORES[url]


def _as_json(item: StepProgress) -> dict[str, Any]:
    usage = None if item.usage is None else item.usage.model_dump()
    return {
        "rows": item.rows,
        "computed": item.computed,
        "usage": usage,
        "in_tiers": _tiers_as_json(item.in_tiers),
    }


def _tiers_as_json(in_tiers: TierUsage) -> dict[str, Any]:
    return {str(above): each.model_dump() for above, each in in_tiers.items()}


def _with_counts(
    part: Part,
    progress: Progress,
) -> Part:
    """Return a reference with the rows and tokens that all tries have counted."""
    # A task counts for one stage only, and for none where every row was found.
    counts = next(iter(progress.stages().values()), None)
    if counts is None:
        return part
    usage = by_batch = None
    if counts.usage is not None:
        usage = counts.usage.model_dump()
    if counts.usage_by_batch is not None:
        by_batch = counts.usage_by_batch.model_dump()
    return replace(
        part,
        computed=counts.computed,
        usage=usage,
        in_tiers=_tiers_as_json(counts.in_tiers),
        usage_by_batch=by_batch,
        steps={label: _as_json(item) for label, item in progress.steps().items()}
        or None,
    )
