"""What a task finds in its process: the run it works for, and the event loop that all tasks share.

One loop serves every shard of the process, so that one limiter bounds the requests in flight and one client serves
them all. A task on another machine rebuilds its run from the experiment's plain data.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeVar

from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from themis_lib import Experiment
from themis_lib.core.config import StorageConfig
from themis_lib.core.pipeline import Pipeline
from themis_lib.core.progress import Progress
from themis_lib.core.run import Run
from themis_lib.core.stage import Shard, Stage, run_stage
from themis_lib.core.store import RunStore, open_store
from themis_lib.core.tables import Part
from themis_lib.errors import FatalError

T = TypeVar("T")
_RUNS: dict[str, Run] = {}
#: How many tasks a run has submitted, so that whoever leaves can wait until all of them are on record.
SUBMITTED: Counter[str] = Counter()
#: Called with the run when a flow of this context starts one, for a display that follows it.
OBSERVER: ContextVar[Callable[[Run], None] | None] = ContextVar("observer", default=None)


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
    """Forget a run that has ended, stop what its tasks still do, and keep those that wait from beginning."""
    shared_loop().cancel(run.run_id)
    _RUNS.pop(run.run_id, None)
    with _STORES_LOCK:
        _STORES.pop(run.store.url, None)


def compute_shard(work: Mapping[str, Any]) -> Part:
    """Run one stage over one shard, as `work` describes it.

    Raises `ShardError` when rows failed, `FatalError` when the run has ended in this process before the shard's turn.
    """
    run_id: str = work["run_id"]
    run = _RUNS.get(run_id)
    loop = shared_loop()
    loop.check_open(run_id)
    pipeline, store, progress = (run.pipeline, run.store, run.progress) if run else _rebuilt(work)
    stage = pipeline.stage(work["stage"])
    shard = Shard.from_json(work["shard"])
    with _global_limit(stage):
        loop.check_open(run_id)  # the run may have ended while the shard waited for its slot
        return loop.run(run_id, run_stage(stage, shard, store, run_id=run_id, progress=progress))


@contextmanager
def _global_limit(stage: Stage) -> Iterator[None]:
    """A slot of the Prefect concurrency limit that a stage's generator names, which every process on a server shares.

    Raises `FatalError` where the server has no such limit.
    """
    name = getattr(getattr(stage, "generator", None), "global_limit", None)
    if name is None:
        yield
        return
    with ExitStack() as held:
        try:
            held.enter_context(concurrency(name, occupy=1, strict=True))
        except ConcurrencySlotAcquisitionError:
            raise FatalError(
                f"global_limit: the Prefect server has no concurrency limit {name!r}; create it with "
                f"`prefect gcl create {name} --limit 8`"
            ) from None
        yield


def _rebuilt(work: Mapping[str, Any]) -> tuple[Pipeline, RunStore, Progress]:
    pipeline = _compiled(work["experiment"])
    storage = pipeline.experiment.storage.model_copy(update={"store": work["store"]})
    return pipeline, opened_store(storage), Progress()


@lru_cache(maxsize=8)
def _compiled(experiment: str) -> Pipeline:
    return Experiment.model_validate_json(experiment).compile()


_STORES: dict[str, RunStore] = {}
_STORES_LOCK = threading.Lock()


def opened_store(storage: StorageConfig) -> RunStore:
    """The store of this address, opened once in this process."""
    url, options = storage.resolved()
    with _STORES_LOCK:
        if url not in _STORES:
            _STORES[url] = open_store(url, options)
        return _STORES[url]


class SharedLoop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._running: dict[str, set[Future[Any]]] = {}
        self._closed: set[str] = set()
        threading.Thread(target=self._loop.run_forever, name="stages", daemon=True).start()

    def run(self, group: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return what it returns; `cancel(group)` stops it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        running = self._running.setdefault(group, set())
        running.add(future)
        try:
            return future.result()
        finally:
            running.discard(future)

    def check_open(self, group: str) -> None:
        """Raises `FatalError` for a group that was cancelled: nothing of it begins any more."""
        if group in self._closed:
            raise FatalError(f"run {group} has ended")

    def cancel(self, group: str) -> None:
        """Stop everything of a group in one step of the loop, so that none takes up what another lets go."""
        self._closed.add(group)
        futures = list(self._running.pop(group, ()))
        self._loop.call_soon_threadsafe(lambda: [future.cancel() for future in futures])


_LOOPS: list[SharedLoop] = []
_LOOP_LOCK = threading.Lock()


def shared_loop() -> SharedLoop:
    """The loop of this process; tasks that ask at once get the same one, so that one limit bounds them all."""
    with _LOOP_LOCK:
        if not _LOOPS:
            _LOOPS.append(SharedLoop())
    return _LOOPS[0]
