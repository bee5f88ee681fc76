"""Keeps the log of a run readable: each fact once, in one line."""

from __future__ import annotations

import logging

from themis_lib.errors import ThemisError


class WithoutRepeats(logging.Filter):
    """A filter that drops Prefect's tracebacks of this library's errors.

    The state that Prefect logs next gives the reason in one line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.exc_info:
            return True
        # A traceback of any other error is a defect's, and stays.
        return not isinstance(record.exc_info[1], ThemisError)


# One object for the process: `addFilter` ignores a filter that it already has, so that
# every task can ask for it.
_FILTER = WithoutRepeats()


def without_tracebacks() -> None:
    """Keep tracebacks of this library's errors out of the logs of runs.

    Call it in every process that runs a flow or a task; a second call is a no-op.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_FILTER)
