"""The event loop that all tasks of a process share, and that stops what a run still
does when it ends.
"""

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
    """An event loop on a thread of its own.

    What is stopped has `patience_s` seconds to put its things in order; whoever waits
    for it then waits no longer.
    """

    def __init__(self, *, patience_s: float = 10.0) -> None:
        self._patience_s = patience_s
        self._waiting: defaultdict[str, set[Future[Any]]] = defaultdict(set)
        self._loop = asyncio.new_event_loop()
        self._running: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(
            set
        )  # for the loop's own thread alone
        self._closed: set[str] = set()
        threading.Thread(
            target=self._serve_loop,
            name="stages",
            daemon=True,
        ).start()

    def run(
        self,
        group: str,
        coroutine: Coroutine[Any, Any, T],
    ) -> T:
        """Run a coroutine to its end and return what it returns.

        Where `cancel(group)` stops it, this raises `FatalError`, and only when the
        coroutine has put its things in order: whoever waits for this call knows that
        what was finished is saved.
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
        """Raises `FatalError` for a group that was cancelled: nothing of it begins any
        more.
        """
        if group in self._closed:
            raise FatalError(f"run {group} has ended")

    def cancel(self, group: str) -> None:
        """Stop everything of a group in one step of the loop, so that none takes up
        what another lets go.
        """
        self._closed.add(group)
        self._loop.call_soon_threadsafe(
            lambda: [task.cancel() for task in self._running.get(group, ())]
        )
        if self._waiting[group]:
            giving_up = threading.Timer(self._patience_s, self._give_up, [group])
            giving_up.daemon = True
            giving_up.start()

    def cancel_all(self) -> None:
        """Stop everything."""
        for group in list(self._waiting):
            self.cancel(group)

    def _serve_loop(self) -> None:
        """Run the loop; it goes on for the others where a component says `sys.exit()`."""
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
        task.add_done_callback(lambda _: self._settle_future(group, task, ended))
        if group in self._closed:
            task.cancel()

    def _settle_future(
        self,
        group: str,
        task: asyncio.Task[T],
        ended: Future[T],
    ) -> None:
        self._running[group].discard(task)
        if not self._running[group]:
            del self._running[group]
        error = (
            FatalError(f"run {group} has ended")
            if task.cancelled()
            else task.exception()
        )
        if error is not None and not isinstance(error, Exception):
            error = FatalError(
                f"a component tried to end the process ({describe(error)})"
            )
        with suppress(InvalidStateError):  # nobody waits any more
            if error is None:
                ended.set_result(task.result())
            else:
                ended.set_exception(error)

    def _give_up(self, group: str) -> None:
        """Let those go who wait for something that does not end: a component that
        cannot be stopped, say.
        """
        for ended in list(self._waiting[group]):
            with suppress(InvalidStateError):
                ended.set_exception(FatalError(f"run {group} has ended"))


_LOOPS: list[SharedLoop] = []
_LOOP_LOCK = threading.Lock()


def shared_loop() -> SharedLoop:
    """The loop of this process; tasks that ask at once get the same one, so that one
    limit bounds them all.
    """
    with _LOOP_LOCK:
        if not _LOOPS:
            _LOOPS.append(SharedLoop())
    return _LOOPS[0]
