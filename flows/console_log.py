"""Prefect's log in a terminal that also shows progress: above the bars, whole lines."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console
from rich.text import Text


class _LinesAbove(io.StringIO):
    """A file whose lines a console prints above what it keeps up to date."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Print lines, with the colours that they come with."""
        lines = text.removesuffix("\n")
        if lines:
            # Not wrapped: addresses are copied from here.
            self._console.print(Text.from_ansi(lines), soft_wrap=True)
        return len(text)


@contextmanager
def log_above_progress(console: Console) -> Iterator[None]:
    """Have Prefect's log printed by a console for a block, if both are in a terminal.

    Prefect writes to the terminal by itself, where its lines would begin behind the
    last of the bars, and the next picture of them wipe half of the line.
    """
    files: dict[PrefectConsoleHandler, IO[str]] = {}
    if console.is_terminal:
        for handler in _console_handlers():
            if handler.console.is_terminal:
                files[handler] = handler.console.file
                handler.console.file = _LinesAbove(console)
    try:
        yield
    finally:
        for handler, file in files.items():
            handler.console.file = file


def _console_handlers() -> set[PrefectConsoleHandler]:
    found: set[PrefectConsoleHandler] = set()
    for name in [None, *logging.root.manager.loggerDict]:
        handlers = logging.getLogger(name).handlers
        found.update(
            item for item in handlers if isinstance(item, PrefectConsoleHandler)
        )
    return found
