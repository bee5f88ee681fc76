"""Calls to components: how many at a time, where they run, and what their exceptions
mean.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from themis_lib import FatalError, RowError, TransientError
from themis_lib.stages.calls import (
    OutcomeSink,
    call_async,
    call_in_slices,
    chunks,
    failure_outcome,
    limiter,
    threaded,
    within,
)
from themis_lib.stages.stage import RowOutcome


class Taken:
    """Outcomes in the order they were emitted."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[int, RowOutcome]] = []

    def emit(self, outcomes: Sequence[tuple[int, RowOutcome]]) -> None:
        self.outcomes.extend(outcomes)

    @property
    def values(self) -> list[Any]:
        """Values or exceptions by position; every position was emitted once."""
        assert list(range(len(self.outcomes))) == sorted(
            position for position, _ in self.outcomes
        )
        by_position = dict(self.outcomes)
        return [
            outcome
            if isinstance(outcome, Exception)
            else outcome.get("value", outcome.get("error"))
            for _, outcome in sorted(by_position.items())
        ]


class Gauge:
    """How many calls are under way, and how many were at most."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self.now -= 1


def record(value: Any) -> dict[str, Any]:
    return {"value": value}


def run(
    how: Callable[..., Awaitable[None]],
    call: Callable[[int], Any],
    count: int,
    *,
    width: int = 4,
    unknown_is_fact: bool = False,
    timeout_s: float | None = None,
) -> Taken:
    """All calls, on a loop and under a limiter of their own."""
    taken = Taken()

    async def run_here() -> None:
        await how(
            within(call, timeout_s) if timeout_s else call,
            count,
            OutcomeSink(taken.emit, record, unknown_is_fact),
            limit=limiter("test", width),
            width=width,
        )

    asyncio.run(run_here())
    return taken


def test_async_calls_are_bounded() -> None:
    """No more calls are under way than the width, and as many as that."""
    gauge = Gauge()

    async def call(position: int) -> int:
        with gauge:
            await asyncio.sleep(0.001)
        return position

    taken = run(call_async, call, 30, width=4)

    assert list(range(30)) == taken.values
    assert 4 == gauge.most


def test_shards_share_the_limiter() -> None:
    """Two shards at once have no more calls under way than one: the limit is the
    process's.
    """
    gauge = Gauge()
    shards = [Taken(), Taken()]

    async def call(position: int) -> int:
        with gauge:
            await asyncio.sleep(0.001)
        return position

    async def run_both() -> None:
        await asyncio.gather(
            *(
                call_async(
                    call,
                    20,
                    OutcomeSink(taken.emit, record, unknown_is_fact=False),
                    limit=limiter("shared", 3),
                    width=3,
                )
                for taken in shards
            )
        )

    asyncio.run(run_both())

    assert 3 == gauge.most
    assert [list(range(20))] * 2 == [taken.values for taken in shards]


def test_limiters_of_other_names_are_apart() -> None:
    """A generator's limit is not a judge's; the same name and limit is one limiter."""

    async def compare() -> list[bool]:
        first = limiter("generate", 2)
        return [
            first is limiter("generate", 2),
            first is limiter("score", 2),
            first is limiter("generate", 3),
        ]

    assert [True, False, False] == asyncio.run(compare())


def test_limiters_work_on_any_loop() -> None:
    """A second event loop of the process, as after a second `run()`, has its own
    limiters.
    """

    async def call(position: int) -> int:
        await asyncio.sleep(0)
        return position

    for _ in range(2):
        assert [0, 1, 2] == run(call_async, call, 3, width=1).values


def test_async_timeouts_are_transient() -> None:
    """A call that takes too long is a failure of this run; the others are not held
    up.
    """

    async def call(position: int) -> int:
        await asyncio.sleep(60 if position == 1 else 0)
        return position

    values = run(call_async, call, 3, timeout_s=0.05, unknown_is_fact=True).values

    assert [0, 2] == [values[0], values[2]]
    assert isinstance(values[1], TimeoutError)


def test_timeouts_in_threads_are_transient() -> None:
    """A blocking call that takes too long is given up, a failure of this run."""
    released = threading.Event()

    def call(position: int) -> int:
        if position == 1:
            released.wait(10)
        return position

    values = run(
        call_async, threaded(call), 3, timeout_s=0.05, unknown_is_fact=True
    ).values
    released.set()

    assert [0, 2] == [values[0], values[2]]
    assert isinstance(values[1], TimeoutError)


def test_time_in_the_queue_does_not_count() -> None:
    """The time limit begins when a call begins, not when it waits for its turn."""

    async def call(position: int) -> int:
        await asyncio.sleep(0.03)
        return position

    assert [0, 1, 2, 3, 4] == run(call_async, call, 5, width=1, timeout_s=0.1).values


def test_blocking_calls_run_in_threads() -> None:
    """Functions that block run beside each other, off the loop, as many as the
    width.
    """
    gauge, threads = Gauge(), set()

    def call(position: int) -> int:
        with gauge:
            threads.add(threading.current_thread())
            time.sleep(0.005)
        return position

    taken = run(call_async, threaded(call), 20, width=4)

    assert list(range(20)) == taken.values
    assert 4 == gauge.most
    assert threading.main_thread() not in threads


def test_function_may_return_an_awaitable() -> None:
    """A plain function that hands back a coroutine has it awaited."""

    async def later(position: int) -> int:
        return position

    def call(position: int) -> Awaitable[int]:
        return later(position)

    assert [0, 1, 2] == run(call_async, threaded(call), 3).values


def in_slices(
    call: Callable[[int], Any],
    count: int,
    sink: OutcomeSink,
    **_: Any,
) -> Awaitable[None]:
    return call_in_slices(call, count, sink)


@pytest.mark.parametrize("count", [0, 1, 2, 9, 5000])
def test_slices_cover_everything(count: int) -> None:
    """Quick functions are called once for every position, in order."""
    positions: list[int] = []

    def call(position: int) -> int:
        positions.append(position)
        return position

    taken = run(in_slices, call, count)

    assert list(range(count)) == positions
    assert list(range(count)) == taken.values


def test_slices_stay_short() -> None:
    """Slices of slow functions hold few calls, so that the loop and the journal get
    their turn.
    """
    emitted: list[int] = []

    async def run_here() -> None:
        await call_in_slices(
            lambda position: time.sleep(0.01),
            30,
            OutcomeSink(
                emit=lambda outcomes: emitted.append(len(outcomes)),
                to_record=record,
                unknown_is_fact=True,
            ),
        )

    asyncio.run(run_here())

    assert 30 == sum(emitted)
    assert max(emitted) <= 10


def test_slices_leave_the_loop_free() -> None:
    """While slices run, other work on the loop goes on."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def run_both() -> None:
        ticking = asyncio.create_task(tick())
        await call_in_slices(
            lambda position: time.sleep(0.01),
            20,
            OutcomeSink(
                emit=lambda outcomes: None, to_record=record, unknown_is_fact=True
            ),
        )
        ticking.cancel()

    asyncio.run(run_both())

    assert ticks > 20


def throw(error: Exception) -> None:
    raise error


async def raising(error: Exception) -> None:
    raise error


WAYS = {
    "async": (call_async, lambda error: lambda position: raising(error)),
    "threads": (call_async, lambda error: threaded(lambda position: throw(error))),
    "slices": (in_slices, lambda error: lambda position: throw(error)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("unknown_is_fact", [True, False])
def test_row_error_is_a_fact(way: str, unknown_is_fact: bool) -> None:
    """`RowError` is a reason in the row, in every stage."""
    how, failing = WAYS[way]

    assert ["no answer"] == run(
        how, failing(RowError("no answer")), 1, unknown_is_fact=unknown_is_fact
    ).values


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "error", [TransientError("busy"), TimeoutError(), ConnectionResetError()], ids=repr
)
@pytest.mark.parametrize("unknown_is_fact", [True, False])
def test_transient_errors_are_failures(
    way: str, error: Exception, unknown_is_fact: bool
) -> None:
    """What might not happen again is never a fact, in any stage."""
    how, failing = WAYS[way]

    assert [repr(error)] == list(
        map(repr, run(how, failing(error), 1, unknown_is_fact=unknown_is_fact).values)
    )


@pytest.mark.parametrize("way", WAYS)
def test_stop_iteration_is_an_error_like_others(way: str) -> None:
    """A component that runs out of an iterator fails its row, and does not stop the
    calls without a word.
    """
    how, failing = WAYS[way]

    (reason,) = run(how, failing(StopIteration()), 1, unknown_is_fact=True).values

    assert "StopIteration" in reason


@pytest.mark.parametrize("way", WAYS)
def test_of_other_errors_the_stage_decides(way: str) -> None:
    """An exception that says nothing of itself is a fact where the stage says so, else
    a failure of this run.
    """
    how, failing = WAYS[way]
    error = KeyError("answer")

    assert ["KeyError: 'answer'"] == run(
        how, failing(error), 1, unknown_is_fact=True
    ).values
    assert [error] == run(how, failing(error), 1, unknown_is_fact=False).values


@pytest.mark.parametrize("way", WAYS)
def test_fatal_error_stops_everything(way: str) -> None:
    """`FatalError` is raised as it is, and no further calls are made."""
    how, failing = WAYS[way]
    fatal = failing(FatalError("refused"))
    calls: list[int] = []

    def call(position: int) -> Any:
        calls.append(position)
        return fatal(position)

    with pytest.raises(FatalError, match=r"^refused$"):
        run(how, call, 1000)

    assert len(calls) < 20


def test_record_that_cannot_be_made_is_the_row_s_failure() -> None:
    """What a component returns is turned into a record in the row's own name."""

    def refuse(value: Any) -> dict[str, Any]:
        raise RowError(f"not a row: {value!r}")

    taken = Taken()
    asyncio.run(
        call_in_slices(
            lambda position: position,
            2,
            OutcomeSink(taken.emit, refuse, unknown_is_fact=False),
        )
    )

    assert ["not a row: 0", "not a row: 1"] == taken.values


def test_failure_outcome_keeps_the_exception() -> None:
    """A failure of this run is handed on as the exception it is, so that a retry can
    judge it.
    """
    error = TransientError("busy")

    assert error is failure_outcome(error, unknown_is_fact=True)


def test_chunks_cover_everything() -> None:
    """Positions are cut into ranges of one size, the last of them shorter."""
    assert [range(3), range(3, 6), range(6, 7)] == list(chunks(7, 3))
    assert [] == list(chunks(0, 3))
