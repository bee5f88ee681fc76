"""The event loop that all tasks of a process share, and that can stop a run's work."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from themis_lib.errors import FatalError, describe

T = TypeVar("T")


class SharedLoop:
    """An event loop in a thread, running coroutines in groups that can be cancelled.

    A group is a run. A cancelled coroutine has `patience_s` seconds to clean up; after
    that its caller waits no longer.
    """

    def __init__(self, *, patience_s: float = 10.0) -> None:
        self._patience_s = patience_s
        self._waiting: defaultdict[str, set[Future[Any]]] = defaultdict(set)
        self._loop = asyncio.new_event_loop()
        # Touched by the loop's own thread alone, so it needs no lock.
        self._running: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)
        self._closed: set[str] = set()
        # A daemon: a component that blocks the loop must not keep the process alive.
        thread = threading.Thread(
            target=self._serve_loop,
            name="stages",
            daemon=True,
        )
        thread.start()

    def run(
        self,
        group: str,
        coroutine: Coroutine[Any, Any, T],
    ) -> T:
        """Run a coroutine on the loop, wait for it, and return its result.

        Raise `FatalError` when `cancel(group)` stops it, and not before the coroutine
        has cleaned up: then the caller knows that every finished row is saved.
        """
        ended: Future[T] = Future()
        self._waiting[group].add(ended)
        self._loop.call_soon_threadsafe(
            self._start_task,
            group,
            coroutine,
            ended,
        )
        try:
            return ended.result()
        finally:
            self._waiting[group].discard(ended)

    def check_open(self, group: str) -> None:
        """Raise `FatalError` if a group was cancelled: none of its work may begin."""
        if group in self._closed:
            raise _run_has_ended(group)

    def cancel(self, group: str) -> None:
        """Cancel all work of a group, and refuse any that has not begun.

        The tasks are cancelled in one step of the loop: otherwise one could take the
        limiter's slot, or the lock, that another has just released.
        """
        self._closed.add(group)

        def cancel_tasks() -> None:
            for task in self._running.get(group, ()):
                task.cancel()

        self._loop.call_soon_threadsafe(cancel_tasks)
        if self._waiting[group]:
            giving_up = threading.Timer(self._patience_s, self._give_up, [group])
            giving_up.daemon = True
            giving_up.start()

    def cancel_all(self) -> None:
        """Cancel the work of every group."""
        for group in list(self._waiting):
            self.cancel(group)

    def _serve_loop(self) -> None:
        # `sys.exit()` in a component ends `run_forever`; other runs need the loop.
        while True:
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def _start_task(
        self,
        group: str,
        coroutine: Coroutine[Any, Any, T],
        ended: Future[T],
    ) -> None:
        task = self._loop.create_task(coroutine)
        self._running[group].add(task)

        def settle(task: asyncio.Task[T]) -> None:
            self._running[group].discard(task)
            if not self._running[group]:
                del self._running[group]
            # Nobody may be waiting any more: see `_give_up`.
            with suppress(InvalidStateError):
                _settle_future(ended, task, group)

        task.add_done_callback(settle)
        # The group may have been cancelled after the caller's last check.
        if group in self._closed:
            task.cancel()

    def _give_up(self, group: str) -> None:
        """Release the callers that wait for coroutines which do not end.

        Such a coroutine blocks the loop, or refuses to be cancelled.
        """
        for ended in list(self._waiting[group]):
            # The coroutine may have ended at this very moment.
            with suppress(InvalidStateError):
                ended.set_exception(_run_has_ended(group))


def _settle_future(
    ended: Future[T],
    task: asyncio.Task[T],
    group: str,
) -> None:
    """Pass the outcome of a task on to the caller that waits in another thread."""
    if task.cancelled():
        ended.set_exception(_run_has_ended(group))
        return
    error = task.exception()
    if error is None:
        ended.set_result(task.result())
    elif isinstance(error, Exception):
        ended.set_exception(error)
    else:
        # `SystemExit` must not end the worker thread, and other runs with it.
        ended.set_exception(
            FatalError(f"a component tried to end the process ({describe(error)})")
        )


def _run_has_ended(group: str) -> FatalError:
    return FatalError(f"run {group} has ended")


# Process-wide: one loop serves every task of the process, so that one limiter bounds
# all requests in flight and one client serves them all.
_LOOPS: list[SharedLoop] = []
_LOOP_LOCK = threading.Lock()


def shared_loop() -> SharedLoop:
    """Return the loop of this process, started at the first call."""
    # Tasks ask for it from many threads at once: two loops would mean two limits.
    with _LOOP_LOCK:
        if not _LOOPS:
            _LOOPS.append(SharedLoop())
    return _LOOPS[0]
