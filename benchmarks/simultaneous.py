"""Calls of a generator by runs at once on one store: each row is paid for once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from benchmarks.jobs import wait_often
from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report, Row

_RUNS, _ROWS, _SLEEP_S, _MAX_CONCURRENCY = 8, 2_000, 0.05, 32
_MOST_CALLS = 1.1


def measure(*, quick: bool) -> Report:
    rows = 400 if quick else _ROWS
    job = {"rows": rows, "sleep_s": _SLEEP_S, "max_concurrency": _MAX_CONCURRENCY}
    found: list[Row] = []
    for runs in (1, 2, _RUNS):
        with folder() as store, ThreadPoolExecutor(runs) as threads:
            started = [
                threads.submit(fresh, wait_often, store=store, **job)
                for _ in range(runs)
            ]
            outcomes = [run.result() for run in started]
        # Every call of this generator gives a row, which the run that made it counts.
        calls = sum(outcome["computed"] for outcome in outcomes)
        found.append(
            {
                "runs_at_once": runs,
                "rows": rows,
                "calls": calls,
                "calls_a_row": calls / rows,
                "slowest_run_s": max(outcome["seconds"] for outcome in outcomes),
            }
        )
    return Report(
        how="`Experiment.run` until generate in processes that start together, on one "
        "store on disk, of an async generator that only waits",
        rows=found,
        aims=[Aim("calls a row of eight runs", found[-1]["calls_a_row"], _MOST_CALLS)],
    )
