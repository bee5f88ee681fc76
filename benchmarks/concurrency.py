"""Overhead of a request in flight, beside a generator that only waits."""

from __future__ import annotations

from benchmarks.jobs import wait_often
from benchmarks.processes import folder, run_seconds
from benchmarks.report import Report

_ROWS, _SLEEP_S, _MAX_CONCURRENCY = 1_000, 0.05, 100
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    job = {"rows": _ROWS, "sleep_s": _SLEEP_S, "max_concurrency": _MAX_CONCURRENCY}
    seconds = []
    for _ in range(repeats):
        with folder() as store:
            run = run_seconds(wait_often, computed=_ROWS, store=store, **job)
        seconds.append(run)
    least = min(seconds)
    # What the sleeps alone take when every place is always occupied.
    ideal = _ROWS / _MAX_CONCURRENCY * _SLEEP_S
    row = {
        **job,
        "ideal_s": ideal,
        "seconds": least,
        "overhead_ms_per_request": 1000 * (least - ideal) / _ROWS,
    }
    return Report(
        how=f"best of {repeats} in fresh processes: `Experiment.run` until generate, "
        "with a store on disk, of an async generator that only waits",
        rows=[row],
    )
