"""What a request in flight costs beyond its own time."""

from __future__ import annotations

from benchmarks.in_process import check
from benchmarks.processes import folder, fresh
from benchmarks.report import Report

_ROWS, _SLEEP_S, _MAX_CONCURRENCY = 1_000, 0.05, 100
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    ideal = _ROWS / _MAX_CONCURRENCY * _SLEEP_S
    seconds = min(_run() for _ in range(repeats))
    row = {
        "rows": _ROWS,
        "sleep_s": _SLEEP_S,
        "max_concurrency": _MAX_CONCURRENCY,
        "ideal_s": ideal,
        "seconds": seconds,
        "overhead_ms_per_request": 1000 * (seconds - ideal) / _ROWS,
    }
    return Report(
        how=f"best of {repeats} in fresh processes: `Experiment.run` until generate, with a store on disk, of an async "
        "generator that only waits",
        rows=[row],
    )


def _run() -> float:
    with folder() as store:
        job = {"rows": _ROWS, "sleep_s": _SLEEP_S, "max_concurrency": _MAX_CONCURRENCY}
        return check(fresh("sleepers", store=str(store), **job), computed=_ROWS)
