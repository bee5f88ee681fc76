"""What a run's log says: each thing once and in a line."""

from __future__ import annotations

import logging

from themis_lib.errors import ThemisError


class WithoutRepeats(logging.Filter):
    """Drops Prefect's tracebacks of this library's errors: the state that follows gives
    the reason in one line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], ThemisError))


_FILTER = WithoutRepeats()


def without_tracebacks() -> None:
    """Keep tracebacks of this library's errors out of the logs of runs; a second call
    changes nothing.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_FILTER)
