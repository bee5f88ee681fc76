"""A block that signals do not end halfway."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended.

    What follows a first signal must come to its end although a second one comes: people
    press Ctrl-C twice, and Prefect sends SIGTERM to what a terminal has interrupted. A
    signal that comes a second time is not held, as the block may hang.
    """
    # Elsewhere no signal is handled, and none can be held.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers: dict[int, Any] = {}

    def hold(number: int, _frame: FrameType | None) -> None:
        if number in held:
            give_back()
            signal.raise_signal(number)
        held.append(number)

    def give_back() -> None:
        while handlers:
            signal.signal(*handlers.popitem())
        # An event loop hears of signals here, whatever their handlers.
        signal.set_wakeup_fd(wakeup)

    wakeup = signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        # One that was not set in Python could not be set again.
        if handler is not None:
            handlers[number] = handler
            signal.signal(number, hold)
    try:
        yield
    finally:
        if handlers:
            give_back()
            for received in held:
                signal.raise_signal(received)
