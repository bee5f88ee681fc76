"""Calls to components: many at a time, sync or async, each failure the failure of one row.

An exception is a fact about the row (recorded and cached) or a failure of this run (retried, never cached).
`RowError` is always a fact, a transient error never; of any other exception the stage decides.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from themis_lib.core.stage import Emit, Outcome
from themis_lib.errors import FatalError, RowError, describe, is_transient

_SLICE_S = 0.05
_MAX_SLICE = 1024
_LIMITERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]]
_LIMITERS = weakref.WeakKeyDictionary()

Call = Callable[[int], Any]
ToRecord = Callable[[Any], Mapping[str, Any]]


def limiter(name: str, limit: int) -> asyncio.Semaphore:
    """The limiter of this name on the running loop; every shard of the process shares it."""
    limiters = _LIMITERS.setdefault(asyncio.get_running_loop(), {})
    return limiters.setdefault(f"{name}/{limit}", asyncio.Semaphore(limit))


def failure_outcome(error: Exception, *, unknown_is_fact: bool) -> Outcome:
    """What an exception from a component means for its row. Raises `FatalError` on."""
    if isinstance(error, FatalError):
        raise error
    if isinstance(error, RowError):
        return {"error": str(error)}
    if unknown_is_fact and not is_transient(error):
        return {"error": describe(error)}
    return error


async def call_async(
    call: Call, count: int, *, to_record: ToRecord, emit: Emit, limit: asyncio.Semaphore, width: int,
    unknown_is_fact: bool, timeout_s: float | None = None,
) -> None:  # fmt: skip
    """Await `call(i)` for every i below `count`, at most `width` at a time and as the shared limit allows."""
    positions = iter(range(count))

    async def work() -> None:
        for position in positions:
            async with limit:
                try:
                    async with asyncio.timeout(timeout_s):
                        outcome: Outcome = to_record(await call(position))
                except Exception as error:  # noqa: BLE001 - a component may raise anything
                    outcome = failure_outcome(error, unknown_is_fact=unknown_is_fact)
            emit([(position, outcome)])

    await _run_together(work() for _ in range(min(width, count)))


async def call_in_threads(
    call: Call, count: int, *, to_record: ToRecord, emit: Emit, limit: asyncio.Semaphore, width: int,
    unknown_is_fact: bool, timeout_s: float | None = None,
) -> None:  # fmt: skip
    """Like `call_async` for a function that blocks: each call in a thread of its own."""
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(min(width, count), thread_name_prefix="generate")

    async def in_thread(position: int) -> Any:
        value = await loop.run_in_executor(threads, _call_in_thread, call, position)
        return await value if inspect.isawaitable(value) else value

    try:
        await call_async(
            in_thread, count, to_record=to_record, emit=emit, limit=limit, width=width,
            unknown_is_fact=unknown_is_fact, timeout_s=timeout_s,
        )  # fmt: skip
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _call_in_thread(call: Call, position: int) -> Any:
    try:
        return call(position)
    except StopIteration as error:  # a future cannot carry it, and would never be done
        raise RuntimeError("the function raised StopIteration") from error


async def call_in_slices(call: Call, count: int, *, to_record: ToRecord, emit: Emit, unknown_is_fact: bool) -> None:
    """Call a quick function for every i below `count`, off the loop, in slices that take about 50 ms."""

    def slice_outcomes(start: int, stop: int) -> list[tuple[int, Any]]:
        return [(position, _outcome(call, position, to_record, unknown_is_fact)) for position in range(start, stop)]

    start, size = 0, 1
    while start < count:
        began = time.monotonic()
        stop = min(start + size, count)
        emit(await asyncio.to_thread(slice_outcomes, start, stop))
        elapsed = time.monotonic() - began
        size = min(max(1, int(size * min(_SLICE_S / max(elapsed, 1e-6), 8))), _MAX_SLICE)
        start = stop


def _outcome(call: Call, position: int, to_record: ToRecord, unknown_is_fact: bool) -> Outcome:
    try:
        return to_record(call(position))
    except Exception as error:  # noqa: BLE001 - a component may raise anything
        return failure_outcome(error, unknown_is_fact=unknown_is_fact)


def chunks(count: int, size: int) -> Iterator[range]:
    """The positions below `count`, `size` at a time."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))


async def _run_together(workers: Iterator[Any]) -> None:
    """Run coroutines until all are done; the first exception cancels the others and is raised as it is."""
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
