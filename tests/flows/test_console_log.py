"""Prefect's log beside bars of progress, in a terminal."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console
from rich.live import Live
from rich.text import Text

from flows.console_log import log_above_progress
from flows.display import STARTING
from tests.support.prefect_api import ROOT, experiment_file
from tests.support.terminal import shown_in_terminal

#: A line of the log, from the beginning of a line of the screen.
LINE = re.compile(r"(?:^|\n|\x1b\[2K)[0-9:.]+ \| INFO ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger as Prefect sets it up, which writes to a terminal of its own."""
    logger = logging.getLogger("tests.console_log")
    handler = PrefectConsoleHandler(stream=Terminal(), styles={})
    logger.addHandler(handler)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True


def handler_of(logger: logging.Logger) -> PrefectConsoleHandler:
    # pytest adds some of its own.
    (handler,) = (
        item for item in logger.handlers if isinstance(item, PrefectConsoleHandler)
    )
    return handler


def written(logger: logging.Logger) -> str:
    return str(handler_of(logger).stream.getvalue())


def test_lines_go_above_the_progress(logger: logging.Logger) -> None:
    """Whole, whatever is in them, and afterwards where they went before."""
    console = Console(file=Terminal(), width=20)

    with Live(Text("the bars"), console=console), log_above_progress(console):
        logger.warning("score[first] of a run: longer than the terminal is wide")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    during = written(logger)
    logger.warning("later")

    assert "score[first] of a run: longer than the terminal is wide\n" in shown
    assert "" == during
    assert "later\n" == written(logger)


def test_log_that_goes_elsewhere_stays_there(logger: logging.Logger) -> None:
    """A file that the log is sent to has it all, also while bars are shown."""
    file = io.StringIO()
    handler_of(logger).console.file = file

    with log_above_progress(Console(file=Terminal())):
        logger.warning("kept")

    assert "kept\n" == file.getvalue()


def test_without_a_terminal_nothing_changes(logger: logging.Logger) -> None:
    """There are no bars to be above of."""
    console = Console(file=io.StringIO())

    with log_above_progress(console):
        logger.warning("plain")

    assert "plain\n" == written(logger)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_api")
def test_log_of_a_run_keeps_to_its_own_lines(tmp_path: Path) -> None:
    """On a server that is running, which nobody waits for; 80 columns wide."""
    environment = {**os.environ, "PREFECT_LOGGING_LEVEL": "INFO"}
    environment.pop("PREFECT_API_URL", None)
    path = experiment_file(tmp_path, delay_s=0.05)

    said = shown_in_terminal(
        [sys.executable, "-m", "flows.run", str(path)], cwd=ROOT, env=environment
    )

    text = re.sub(r"\x1b\[[0-9;]*m", "", said)
    assert text.count("| INFO ") > 3
    assert text.count("| INFO ") == len(LINE.findall(text))
    assert STARTING not in text
    assert "completed" in text
