"""Peak memory of an evaluation, and how it grows with the cases."""

from __future__ import annotations

from benchmarks.jobs import in_process, write_cases
from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report, Row

_SIZES = (100_000, 1_000_000)
_QUICK_SIZES = (20_000, 200_000)


def measure(*, quick: bool) -> Report:
    few, many = _QUICK_SIZES if quick else _SIZES
    small = _evaluate(few)
    large = _evaluate(many)
    peak = large["peak_bytes"]
    growth = (peak - small["peak_bytes"]) / (many - few)
    return Report(
        how="peak resident set of a fresh process that evaluates cases from a Parquet "
        "file; one run of each size",
        rows=[
            {**small, "growth_bytes_per_case": None},
            {**large, "growth_bytes_per_case": growth},
        ],
        aims=[Aim(f"peak GB at {many:,} cases", peak / 1e9, 1.5)],
    )


def _evaluate(cases: int) -> Row:
    with folder() as data, folder() as store:
        path = data / "cases.parquet"
        # Written in a process apart: on Linux a child starts with its parent's peak, so
        # what this process allocates would count in the next measurement.
        fresh(write_cases, path=path, cases=cases)
        run = fresh(in_process, data=path, store=store, cases=cases)
    return {
        "cases": cases,
        "seconds": run["seconds"],
        "bytes_after_import": run["imported_bytes"],
        "peak_bytes": run["peak_bytes"],
    }
