"""What a task finds in its process: the run it works for, and its store.

One event loop serves every shard of the process, so that one limiter bounds the
requests in flight and one client serves them all. A task in another process, on this
machine or another, rebuilds its run from the experiment's plain data, once for all
tasks of the process, and gives back with its table what it has counted.
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
from dataclasses import replace
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
from themis_lib.core.config import StorageConfig
from themis_lib.errors import FatalError, ShardError
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.run import Run
from themis_lib.stages.progress import Progress
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore, open_store

_RUNS: dict[str, Run] = {}
_LEAVING = threading.Event()
_PATIENCE_S = 5.0
#: Called with the run when a flow of this context starts one, for a display that
#: follows it.
OBSERVER: ContextVar[Callable[[Run], None] | None] = ContextVar(
    "observer", default=None
)


def observe(run: Run) -> None:
    """Show a run to whoever follows it."""
    observer = OBSERVER.get()
    if observer:
        observer(run)


def register(run: Run) -> None:
    """Let the tasks of this process find a run."""
    _RUNS[run.run_id] = run
    with _STORES_LOCK:
        _STORES[run.store.url] = run.store


def unregister(run: Run) -> None:
    """Forget a run that has ended, stop what its tasks still do, and keep those that
    wait from beginning.
    """
    end_tasks(run.run_id)
    _RUNS.pop(run.run_id, None)
    with _STORES_LOCK:
        _STORES.pop(run.store.url, None)


def end_tasks(run_id: str) -> None:
    """Stop what a run's tasks still do in this process, and keep those that wait from
    beginning.
    """
    shared_loop().cancel(run_id)


def compute_shard(work: Mapping[str, Any]) -> Part:
    """Run one stage over one shard, as `work` describes it.

    Raises `ShardError` when rows failed, `FatalError` when the run has ended in this
    process before the shard's turn.
    """
    run_id: str = work["run_id"]
    run = _RUNS.get(run_id)
    check_going_on(run_id)
    if run is not None:
        return _run_work(
            run.pipeline,
            run.store,
            run.progress,
            work,
        )
    pipeline, store = _rebuild_once(run_id, work["experiment"], work["store"])
    progress = _tries_progress(run_id, work["stage"], work["shard"]["index"])
    try:
        return _with_counts(
            _run_work(
                pipeline,
                store,
                progress,
                work,
            ),
            progress,
        )
    except ShardError as error:
        error.part = _with_counts(error.part, progress)
        raise


def check_going_on(run_id: str) -> None:
    """Raises `FatalError` where a run has ended in this process: none of its shards
    begins any more.
    """
    if _LEAVING.is_set():
        raise FatalError(f"run {run_id} has ended")
    shared_loop().check_open(run_id)


def _run_work(
    pipeline: Pipeline,
    store: RunStore,
    progress: Progress,
    work: Mapping[str, Any],
) -> Part:
    stage, run_id = pipeline.stage(work["stage"]), work["run_id"]
    shard = Shard.from_json(work["shard"])
    with _global_limit(stage, run_id):
        return shared_loop().run(
            run_id,
            run_stage(
                stage,
                shard,
                store,
                run_id=run_id,
                progress=progress,
            ),
        )


def begin_process(
    run_ends: Connection,
    threads: int,
) -> None:
    """Prepare a process that one run has started; it leaves when the run's end of
    `run_ends` is closed.

    So it does when the run's process is killed. A terminal's Ctrl-C is for the run,
    which then closes its end. Local models compute with so many threads here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

    def leave() -> None:
        wait([run_ends])
        _LEAVING.set()
        shared_loop().cancel_all()
        time.sleep(_PATIENCE_S)
        os._exit(1)  # something holds on; what it has saved is safe

    threading.Thread(
        target=leave,
        name="leave",
        daemon=True,
    ).start()


def dask_setup(_worker: object) -> None:
    """What Dask calls in each process of a cluster that a run has started: a terminal's
    Ctrl-C is for the run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def end_dask_tasks(
    run_id: str,
    dask_worker: Any = None,
) -> None:
    """Stop what a run's tasks still do in a process of Dask's, and have them tell
    Prefect how they ended.
    """
    end_tasks(run_id)
    deadline = time.monotonic() + _PATIENCE_S
    while dask_worker.state.executing_count and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    await asyncio.to_thread(EventsWorker.drain_all, timeout=_PATIENCE_S)


@contextmanager
def _global_limit(
    stage: Stage,
    run_id: str,
) -> Iterator[None]:
    """A slot of the Prefect concurrency limit that a stage's generator names, which
    every process on a server shares.

    Raises `FatalError` where the server has no such limit, or the run has ended while
    the shard waited.
    """
    name = stage.global_limit
    if name is None:
        check_going_on(run_id)
        yield
        return
    with ExitStack() as held:
        while True:
            check_going_on(run_id)
            try:
                held.enter_context(
                    concurrency(
                        name,
                        occupy=1,
                        strict=True,
                        timeout_seconds=_PATIENCE_S,
                    )
                )
                break
            except AcquireConcurrencySlotTimeoutError:
                continue  # a run that was stopped meanwhile waits no longer
            except ConcurrencySlotAcquisitionError:
                raise FatalError(
                    f"global_limit: the Prefect server has no concurrency limit {name!r}; create it with "
                    f"`prefect gcl create {name} --limit 8`"
                ) from None
        check_going_on(run_id)
        yield


_REBUILDING = threading.Lock()


def _rebuild_once(
    run_id: str,
    experiment: str,
    store: str,
) -> tuple[Pipeline, RunStore]:
    """The stages and the store of a run elsewhere; threads that ask at once get the
    same ones.
    """
    with _REBUILDING:
        return _rebuild_run(run_id, experiment, store)


@lru_cache(maxsize=2)
def _rebuild_run(
    run_id: str,
    experiment: str,
    store: str,
) -> tuple[Pipeline, RunStore]:
    del (
        run_id
    )  # a store knows only of files it has seen or written: the next run looks anew
    pipeline = Experiment.model_validate_json(experiment).compile()
    return pipeline, opened_store(
        pipeline.experiment.storage.model_copy(update={"store": store})
    )


@lru_cache(maxsize=256)
def _tries_progress(
    run_id: str,
    stage: str,
    shard: int,
) -> Progress:
    """What all tries of a task have counted; Prefect makes them in one process."""
    del run_id, stage, shard
    return Progress()


_STORES: dict[str, RunStore] = {}
_STORES_LOCK = threading.Lock()


def opened_store(storage: StorageConfig) -> RunStore:
    """The store of this address, opened once in this process."""
    url, options = storage.resolved()
    with _STORES_LOCK:
        if url not in _STORES:
            _STORES[url] = open_store(url, options)
        return _STORES[url]


def _with_counts(
    part: Part,
    progress: Progress,
) -> Part:
    """A reference with the rows and tokens of all tries, for whoever follows the run."""
    counts = next(iter(progress.stages().values()), None)
    if counts is None:
        return part
    usage = None if counts.usage is None else counts.usage.model_dump()
    return replace(
        part,
        computed=counts.computed,
        usage=usage,
    )
