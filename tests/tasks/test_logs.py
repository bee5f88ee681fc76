"""Which tracebacks stay out of the log of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tasks.logs import WithoutRepeats, without_tracebacks
from themis_lib import ConfigError, FatalError

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def record(error: BaseException | None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, None)
    return logging.LogRecord(
        "prefect.task_runs", logging.ERROR, __file__, 1, "failed", (), exc_info
    )


@pytest.fixture
def fresh_loggers() -> Iterator[list[logging.Logger]]:
    """Prefect's loggers without this library's filters, for one test."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.filters[:] for logger in loggers]
    for logger in loggers:
        logger.filters.clear()
    yield loggers
    for logger, filters in zip(loggers, before, strict=True):
        logger.filters[:] = filters


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, True),
        (ConfigError("seed=-1"), False),
        (FatalError("no key"), False),
        (ValueError("a defect"), True),
        (KeyboardInterrupt(), True),
    ],
)
def test_only_tracebacks_of_this_library_are_dropped(
    error: BaseException | None, expected: bool
) -> None:
    """A line without a traceback stays, and so does the traceback of a defect."""
    assert expected == WithoutRepeats().filter(record(error))


def test_record_without_an_exception_in_flight_stays() -> None:
    """`exc_info=True` outside an `except` block names no error."""
    bare = record(None)
    bare.exc_info = (None, None, None)

    assert WithoutRepeats().filter(bare)


def test_filter_is_on_the_loggers_of_runs(
    fresh_loggers: list[logging.Logger],
) -> None:
    """After the call, neither flows nor tasks log tracebacks of this library."""
    without_tracebacks()

    for logger in fresh_loggers:
        assert not logger.filter(record(ConfigError("seed=-1")))
        assert logger.filter(record(ValueError("a defect")))


def test_second_call_is_a_no_op(fresh_loggers: list[logging.Logger]) -> None:
    """Every task may ask for it: there is one filter all the same."""
    without_tracebacks()
    without_tracebacks()

    assert [1, 1] == [len(logger.filters) for logger in fresh_loggers]
