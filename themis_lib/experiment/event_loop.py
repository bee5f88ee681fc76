"""An event loop that Ctrl-C never leaves half made."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_new_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what `work` returns, run in a new event loop, as `asyncio.run` does.

    Ctrl-C raises `KeyboardInterrupt` at any moment. While the loop is made,
    `asyncio.run` would also print what could not be closed and what was never awaited.
    """
    coroutine = work()
    try:
        with contextlib.closing(asyncio.Runner()) as runner:
            # Not `with Runner()`, which makes the loop before its block.
            with _interrupts_held():
                runner.get_loop()
            return runner.run(coroutine)
    finally:
        # Python warns about a coroutine that did not start.
        coroutine.close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Raise `KeyboardInterrupt` after the block, not within.

    It is raised in the main thread only, and only where no other handler is set.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    held: list[int] = []
    try:
        # A handler, since a signal mask would hold for this thread and not for others.
        signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    except ValueError:
        # Not the main thread, which alone has handlers.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if held:
        raise KeyboardInterrupt
