"""Calls to components: many at a time, sync or async, each failure the failure of one
row.

An exception is a fact about the row (recorded and cached) or a failure of this run
(retried, never cached). `RowError` is always a fact, a transient error never; of any
other exception the stage decides.
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

_SLICE_S = 0.05
_MAX_SLICE = 1024
_LIMITERS: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]
]
_LIMITERS = weakref.WeakKeyDictionary()

Call = Callable[[int], Any]
BatchCall = Callable[[range], Awaitable[Sequence[RowOutcome]]]
ToRecord = Callable[[Any], Mapping[str, Any]]


def limiter(name: str, limit: int) -> asyncio.Semaphore:
    """The limiter of this name on the running loop; every shard of the process shares
    it.
    """
    limiters = _LIMITERS.setdefault(asyncio.get_running_loop(), {})
    return limiters.setdefault(f"{name}/{limit}", asyncio.Semaphore(limit))


def failure_outcome(error: Exception, *, unknown_is_fact: bool) -> RowOutcome:
    """What an exception from a component means for its row. Raises `FatalError` on."""
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
    *,
    is_async: bool,
    name: str,
    runtime: RuntimeConfig,
    to_record: ToRecord,
    emit: Emit,
) -> None:
    """Call a parser, a metric or a reducer for every row: its exceptions are facts,
    unless they are transient.
    """
    if not is_async:
        await call_in_slices(
            call, count, to_record=to_record, emit=emit, unknown_is_fact=True
        )
        return
    width = runtime.max_concurrency
    await call_async(
        within(call, runtime.timeout_s),
        count,
        to_record=to_record,
        emit=emit,
        width=width,
        unknown_is_fact=True,
        limit=limiter(name, width),
    )


async def call_async(
    call: Call,
    count: int,
    *,
    to_record: ToRecord,
    emit: Emit,
    limit: asyncio.Semaphore,
    width: int,
    unknown_is_fact: bool,
) -> None:
    """Await `call(i)` for every i below `count`, at most `width` at a time and as the
    shared limit allows.
    """
    positions = iter(range(count))

    async def work() -> None:
        for position in positions:
            async with limit:
                try:
                    outcome: RowOutcome = to_record(await call(position))
                except asyncio.CancelledError as error:
                    if _is_being_cancelled():
                        raise
                    outcome = TransientError(
                        describe(error)
                    )  # the component's own doing
                except Exception as error:  # noqa: BLE001 - a component may raise anything
                    outcome = failure_outcome(error, unknown_is_fact=unknown_is_fact)
            emit([(position, outcome)])

    await run_together(work() for _ in range(min(width, count)))


async def call_batches(
    call: BatchCall, count: int, *, emit: Emit, limit: asyncio.Semaphore, size: int
) -> None:
    """Await `call` for all positions below `count`, `size` at a time: what it raises is
    the failure of its rows.

    A `RowError` is a fact about each of them, any other exception a failure of this
    run: one row's fault would else be recorded as that of all.
    """

    async def call_one(positions: range) -> None:
        async with limit:
            try:
                outcomes = await call(positions)
            except Exception as error:  # noqa: BLE001 - a component may raise anything
                outcomes = [failure_outcome(error, unknown_is_fact=False)] * len(
                    positions
                )
        emit(list(zip(positions, outcomes, strict=True)))

    await run_together(call_one(positions) for positions in chunks(count, size))


def within(
    call: Callable[[Any], Awaitable[Any]], timeout_s: float | None
) -> Callable[[Any], Awaitable[Any]]:
    """A call that is given up after so many seconds; null lets it take as long as it
    likes.
    """

    async def call_within(at: Any) -> Any:
        async with asyncio.timeout(timeout_s):
            return await call(at)

    return call_within


async def call_batch(
    function: Callable[..., Any], columns: Sequence[Sequence[Any]], positions: range
) -> list[Any]:
    """What a component's function of many rows returns for these, awaited or in a
    thread.

    Raises `RowError` where it is not one result for each row.
    """
    chosen = [column[positions.start : positions.stop] for column in columns]
    is_async = inspect.iscoroutinefunction(function)
    results = list(
        await (function(*chosen) if is_async else in_thread(function, *chosen))
    )
    if len(results) != len(positions):
        name = getattr(function, "__name__", type(function).__name__)
        raise RowError(
            f"{name} returned {len(results)} results for {len(positions)} rows"
        )
    return results


def threaded(call: Call) -> Call:
    """A call that blocks as one to await: each in a thread of its own."""

    async def call_in_thread(position: int) -> Any:
        value = await in_thread(call, position)
        return await value if inspect.isawaitable(value) else value

    return call_in_thread


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a blocking function returns.

    Its thread is a daemon of its own: one that hangs past a timeout or a Ctrl-C holds
    up neither the calls after it nor the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
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
        except (
            StopIteration
        ) as stop:  # a future cannot carry it, and would never be done
            error = RuntimeError(describe(stop))
        except BaseException as raised:  # noqa: BLE001 - handed over to whoever awaits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended without waiting
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(
        target=contextvars.copy_context().run, args=(run,), daemon=True
    ).start()
    return await future


async def call_in_slices(
    call: Call, count: int, *, to_record: ToRecord, emit: Emit, unknown_is_fact: bool
) -> None:
    """Call a quick function for every i below `count`, off the loop, in slices that
    take about 50 ms.
    """

    def slice_outcomes(start: int, stop: int) -> list[tuple[int, Any]]:
        return [
            (position, _outcome(call, position, to_record, unknown_is_fact))
            for position in range(start, stop)
        ]

    start, size = 0, 1
    while start < count:
        began = time.monotonic()
        stop = min(start + size, count)
        emit(await in_thread(slice_outcomes, start, stop))
        elapsed = time.monotonic() - began
        size = min(
            max(1, int(size * min(_SLICE_S / max(elapsed, 1e-6), 8))), _MAX_SLICE
        )
        start = stop


def _outcome(
    call: Call, position: int, to_record: ToRecord, unknown_is_fact: bool
) -> RowOutcome:
    try:
        return to_record(call(position))
    except Exception as error:  # noqa: BLE001 - a component may raise anything
        return failure_outcome(error, unknown_is_fact=unknown_is_fact)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def chunks(count: int, size: int) -> Iterator[range]:
    """The positions below `count`, `size` at a time."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))


async def run_together(workers: Iterator[Any]) -> None:
    """Run coroutines until all are done; the first exception cancels the others and is
    raised as it is.
    """
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
