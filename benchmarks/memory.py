"""How much memory an evaluation takes, and how that grows with its cases."""

from __future__ import annotations

from typing import Any

from benchmarks.in_process import STAGES, check
from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report

_SIZES, _QUICK_SIZES = (100_000, 1_000_000), (20_000, 200_000)
_MIB, _GB = 2**20, 10**9


def measure(*, quick: bool) -> Report:
    sizes = _QUICK_SIZES if quick else _SIZES
    rows: list[dict[str, Any]] = []
    for cases in sizes:
        with folder() as data, folder() as store:
            path = data / "cases.parquet"
            # A process inherits the peak of the one that started it, so the file is not written here but in a third.
            fresh("write_cases", path=str(path), cases=cases)
            outcome = fresh("in_process", data=str(path), store=str(store), cases=cases)
        seconds = check(outcome, computed=STAGES * cases)
        peak, before = outcome["peak_bytes"], rows[-1] if rows else None
        grown = before and (peak - before["peak_bytes"]) / (cases - before["cases"])
        rows.append(
            {
                "cases": cases,
                "seconds": seconds,
                "imports_mib": outcome["imported_bytes"] / _MIB,
                "peak_mib": peak / _MIB,
                "peak_bytes": peak,
                "growth_bytes_per_case": grown,
            }
        )
    return Report(
        how="peak resident set of a fresh process that evaluates cases from a Parquet file; one run of each size",
        rows=rows,
        aims=[Aim(f"peak GB at {sizes[-1]:,} cases", rows[-1]["peak_bytes"] / _GB, 1.5)],
    )
