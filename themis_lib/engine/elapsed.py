"""The seconds that something takes, shown while it goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def show_elapsed(what: str) -> Iterator[None]:
    """Show on a terminal how long the block has been running, and clear it at its end.

    Nothing is written where standard error is no terminal, or is drawn on by another
    display.
    """
    terminal = sys.__stderr__
    # A live display replaces the stream, and would print each second as a line.
    if terminal is None or sys.stderr is not terminal or not terminal.isatty():
        yield
        return
    ended = threading.Event()
    begun = time.monotonic()

    def count_seconds() -> None:
        while not ended.wait(1):
            terminal.write(f"\r{what}: {time.monotonic() - begun:.0f} s")
            terminal.flush()

    counter = threading.Thread(target=count_seconds, daemon=True)
    counter.start()
    try:
        yield
    finally:
        ended.set()
        counter.join()
        # Back to the beginning of the line, and clear it.
        terminal.write("\r\x1b[K")
        terminal.flush()
