"""Peak memory and processor time of an evaluation, and how they grow with the cases."""

from __future__ import annotations

from benchmarks.jobs import in_process, write_cases
from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report, Row

_SIZES = (100_000, 1_000_000, 3_000_000)
_QUICK_SIZES = (20_000, 100_000, 200_000)


def measure(*, quick: bool) -> Report:
    rows: list[Row] = []
    for cases in _QUICK_SIZES if quick else _SIZES:
        row = _evaluate(cases)
        growth = None
        if rows:
            before = rows[-1]
            more_bytes = row["peak_bytes"] - before["peak_bytes"]
            growth = more_bytes / (cases - before["cases"])
        rows.append({**row, "growth_bytes_per_case": growth})
    _, many, most = rows
    return Report(
        how="peak resident set of a fresh process that evaluates cases from a Parquet "
        "file, and its seconds of processor; one run of each size",
        rows=rows,
        aims=[
            Aim(f"peak GB at {many['cases']:,} cases", many["peak_bytes"] / 1e9, 1.5),
            Aim(
                f"times that at {most['cases']:,} cases",
                most["peak_bytes"] / many["peak_bytes"],
                2,
            ),
        ],
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
        "processor_s": run["processor_s"],
        "bytes_after_import": run["imported_bytes"],
        "peak_bytes": run["peak_bytes"],
    }
