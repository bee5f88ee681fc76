"""Calls to components: many at a time, sync or async, each failure that of one row.

An exception is a fact about the row (recorded and cached) or a failure of this run
(retried, never cached). `RowError` is always a fact, a transient error never is; for
any other exception the stage decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.core.config import RuntimeConfig
from themis_lib.errors import (
    FatalError,
    RowError,
    TransientError,
    describe,
    is_transient,
)
from themis_lib.stages.stage import Emit, RowOutcome

#: A slice of quick calls takes about this long: short enough for a Ctrl-C, long enough
#: that handing over to a thread and back costs little.
_SLICE_S = 0.05
_MAX_SLICE = 1024
#: The most that a slice may grow at a time, since the first calls may be untypical.
_MAX_GROWTH = 8
#: Process-wide, so that all shards of all stages share the limit on calls in flight.
_LIMITERS: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]
] = weakref.WeakKeyDictionary()

Call = Callable[[int], Any]
AsyncCall = Callable[[Any], Awaitable[Any]]
BatchCall = Callable[[range], Awaitable[Sequence[RowOutcome]]]
ToRecord = Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class OutcomeSink:
    """What becomes of the results of calls.

    `to_record` turns a result into a row, and raises `RowError` if it is not one.
    `unknown_is_fact` decides whether an exception of no known kind is a fact.
    """

    emit: Emit
    to_record: ToRecord
    unknown_is_fact: bool

    def record(self, result: Any) -> RowOutcome:
        """Return a result as its row's outcome."""
        return self.to_record(result)

    def failure(self, error: Exception) -> RowOutcome:
        """Return what an exception means for its row. Re-raise a `FatalError`."""
        return failure_outcome(error, unknown_is_fact=self.unknown_is_fact)


def limiter(
    name: str,
    limit: int,
) -> asyncio.Semaphore:
    """Return the limiter of this name on the running loop.

    Every shard of the process shares it.
    """
    limiters = _LIMITERS.setdefault(asyncio.get_running_loop(), {})
    return limiters.setdefault(f"{name}/{limit}", asyncio.Semaphore(limit))


def failure_outcome(
    error: Exception,
    *,
    unknown_is_fact: bool,
) -> RowOutcome:
    """Return what an exception from a component means for its row.

    Re-raise a `FatalError`: no other row could succeed either.
    """
    if isinstance(error, FatalError):
        raise error
    if isinstance(error, RowError):
        return {"error": str(error)}
    if unknown_is_fact and not is_transient(error):
        return {"error": describe(error)}
    return error


async def call_rows(
    call: Call,
    count: int,
    sink: OutcomeSink,
    *,
    is_async: bool,
    name: str,
    runtime: RuntimeConfig,
) -> None:
    """Call a parser, a metric or a reducer for every position below `count`."""
    if not is_async:
        await call_in_slices(call, count, sink)
        return
    width = runtime.max_concurrency
    await call_async(
        within(call, runtime.timeout_s),
        count,
        sink,
        limit=limiter(name, width),
        width=width,
    )


async def call_async(
    call: AsyncCall,
    count: int,
    sink: OutcomeSink,
    *,
    limit: asyncio.Semaphore,
    width: int,
) -> None:
    """Await `call(i)` for every i below `count`, at most `width` at a time.

    The shared limit may allow fewer.
    """
    positions = iter(range(count))

    async def work() -> None:
        # Workers draw from one iterator: no position is taken twice.
        for position in positions:
            async with limit:
                try:
                    outcome = sink.record(await call(position))
                except asyncio.CancelledError as error:
                    worker = asyncio.current_task()
                    # Somebody asked this task to stop.
                    if worker is not None and worker.cancelling() > 0:
                        raise
                    # The component raised it itself, from a task that it cancelled.
                    outcome = TransientError(describe(error))
                except Exception as error:  # noqa: BLE001 - a component may raise anything
                    outcome = sink.failure(error)
            sink.emit([(position, outcome)])

    await run_together(work() for _ in range(min(width, count)))


async def call_batches(
    call: BatchCall,
    count: int,
    *,
    emit: Emit,
    limit: asyncio.Semaphore,
    size: int,
) -> None:
    """Await `call` for all positions below `count`, `size` at a time.

    What a batch raises is the failure of its rows: a `RowError` is a fact about each of
    them, anything else a failure of this run, since one row's fault would otherwise be
    recorded for all.
    """

    async def call_one(positions: range) -> None:
        async with limit:
            try:
                outcomes = await call(positions)
            except Exception as error:  # noqa: BLE001 - a component may raise anything
                outcome = failure_outcome(error, unknown_is_fact=False)
                outcomes = [outcome] * len(positions)
        emit(list(zip(positions, outcomes, strict=True)))

    await run_together(call_one(positions) for positions in chunks(count, size))


def within(
    call: AsyncCall,
    timeout_s: float | None,
) -> AsyncCall:
    """Wrap a call so that it is given up after so many seconds; `None` sets no limit."""

    async def call_within(at: Any) -> Any:
        async with asyncio.timeout(timeout_s):
            return await call(at)

    return call_within


async def call_batch(
    function: Callable[..., Any],
    columns: Sequence[Sequence[Any]],
    positions: range,
) -> list[Any]:
    """Return what a component's function of many rows returns for these.

    A coroutine function is awaited, any other runs in a thread. Raise `RowError` if it
    does not return one result for each row.
    """
    chosen = [column[positions.start : positions.stop] for column in columns]
    if inspect.iscoroutinefunction(function):
        results = list(await function(*chosen))
    else:
        results = list(await in_thread(function, *chosen))
    if len(results) != len(positions):
        name = getattr(function, "__name__", type(function).__name__)
        raise RowError(
            f"{name} returned {len(results)} results for {len(positions)} rows"
        )
    return results


def threaded(call: Call) -> AsyncCall:
    """Wrap a blocking call as a coroutine; each call runs in its own thread."""

    async def call_in_thread(position: int) -> Any:
        value = await in_thread(call, position)
        if inspect.isawaitable(value):
            return await value
        return value

    return call_in_thread


async def in_thread(
    function: Callable[..., Any],
    *arguments: Any,
) -> Any:
    """Return what a blocking function returns.

    Each call has its own daemon thread, not one of a pool: a call that hangs past a
    timeout or a Ctrl-C then delays neither later calls nor the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(
        value: Any,
        error: BaseException | None,
    ) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def run() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = function(*arguments)
        except StopIteration as stop:
            # A future refuses StopIteration, and would never be done.
            error = RuntimeError(describe(stop))
        except BaseException as raised:  # noqa: BLE001 - re-raised by the awaiting task
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended without waiting
            loop.call_soon_threadsafe(settle, value, error)

    run_in_context = contextvars.copy_context().run
    threading.Thread(
        target=run_in_context,
        args=(run,),
        daemon=True,
    ).start()
    return await future


async def call_in_slices(
    call: Call,
    count: int,
    sink: OutcomeSink,
) -> None:
    """Call a quick function for every i below `count`, off the loop, slice by slice."""

    def slice_outcomes(
        start: int,
        stop: int,
    ) -> list[tuple[int, RowOutcome]]:
        outcomes: list[tuple[int, RowOutcome]] = []
        for position in range(start, stop):
            try:
                outcome = sink.record(call(position))
            except Exception as error:  # noqa: BLE001 - a component may raise anything
                outcome = sink.failure(error)
            outcomes.append((position, outcome))
        return outcomes

    start = 0
    size = 1
    while start < count:
        began = time.monotonic()
        stop = min(start + size, count)
        sink.emit(await in_thread(slice_outcomes, start, stop))
        elapsed = max(time.monotonic() - began, 1e-6)
        growth = min(_SLICE_S / elapsed, _MAX_GROWTH)
        size = min(max(1, int(size * growth)), _MAX_SLICE)
        start = stop


def chunks(
    count: int,
    size: int,
) -> Iterator[range]:
    """Yield the positions below `count`, `size` at a time."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


async def run_together(workers: Iterator[Any]) -> None:
    """Run coroutines until all are done.

    The first exception cancels the others and is re-raised as it is.
    """
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        # Without this, a cancelled task would outlive the call and warn when collected.
        await asyncio.gather(*tasks, return_exceptions=True)
