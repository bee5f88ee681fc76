"""What a request in flight costs beyond its own time."""

from __future__ import annotations

from benchmarks.processes import folder, run_seconds
from benchmarks.report import Report

_ROWS, _SLEEP_S, _MAX_CONCURRENCY = 1_000, 0.05, 100
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    job = {"rows": _ROWS, "sleep_s": _SLEEP_S, "max_concurrency": _MAX_CONCURRENCY}
    ideal, seconds = _ROWS / _MAX_CONCURRENCY * _SLEEP_S, []
    for _ in range(repeats):
        with folder() as store:
            seconds.append(
                run_seconds("wait_often", computed=_ROWS, store=str(store), **job)
            )
    overhead = 1000 * (min(seconds) - ideal) / _ROWS
    return Report(
        how=f"best of {repeats} in fresh processes: `Experiment.run` until generate, "
        f"with a store on disk, of an async "
        "generator that only waits",
        rows=[
            {
                **job,
                "ideal_s": ideal,
                "seconds": min(seconds),
                "overhead_ms_per_request": overhead,
            }
        ],
    )
