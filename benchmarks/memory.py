"""How much memory an evaluation takes, and how that grows with its cases."""

from __future__ import annotations

from typing import Any

from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report

_SIZES, _QUICK_SIZES = (100_000, 1_000_000), (20_000, 200_000)


def measure(*, quick: bool) -> Report:
    sizes = _QUICK_SIZES if quick else _SIZES
    rows: list[dict[str, Any]] = []
    for cases in sizes:
        outcome = _evaluate(cases)
        peak, before = outcome["peak_bytes"], rows[-1] if rows else None
        rows.append(
            {
                "cases": cases,
                "seconds": outcome["seconds"],
                "bytes_after_import": outcome["imported_bytes"],
                "peak_bytes": peak,
                "growth_bytes_per_case": before
                and (peak - before["peak_bytes"]) / (cases - before["cases"]),
            }
        )
    return Report(
        how="peak resident set of a fresh process that evaluates cases from a Parquet "
        "file; one run of each size",
        rows=rows,
        aims=[
            Aim(f"peak GB at {sizes[-1]:,} cases", rows[-1]["peak_bytes"] / 1e9, 1.5)
        ],
    )


def _evaluate(cases: int) -> dict[str, Any]:
    with folder() as data, folder() as store:
        path = str(data / "cases.parquet")
        # Not in this process: its own peak is where that of the process it starts would
        # begin.
        fresh("write_cases", path=path, cases=cases)
        outcome: dict[str, Any] = fresh(
            "in_process", data=path, store=str(store), cases=cases
        )
        return outcome
