"""How long an evaluation takes in one process, how it grows, and what it leaves on
disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.processes import best, folder, fresh, run_seconds
from benchmarks.report import Aim, Report

#: Generate, parse, score, reduce: the demo's cases are all different, so each has a row
#: in each stage.
STAGES = 4
_SIZES, _QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    sizes, repeats = (_QUICK_SIZES, 1) if quick else (_SIZES, _REPEATS)
    rows: list[dict[str, Any]] = []
    with folder() as data:
        path = data / "cases.jsonl"
        fresh("write_cases", path=str(path), cases=sizes[-1])
        for cases in sizes:
            turns = [_cold_and_cached(path, cases) for _ in range(repeats)]
            rows.append(_row(cases, best(turns), before=rows[-1] if rows else None))
    return Report(
        how=f"best of {repeats}, each in a fresh process, from the YAML file to the "
        f"finished run, reading the JSONL "
        "file included and imports not; growth: of the seconds over that of the cases, 1 = linear",
        rows=rows,
        aims=[
            Aim("ms a case for all four stages", rows[-1]["ms_per_case"], 0.3),
            Aim("bytes on disk a case", rows[-1]["bytes_per_case"], 300),
            Aim(
                "times faster when cached", rows[-1]["cached_ratio"], 20, at_least=True
            ),
        ],
    )


def _cold_and_cached(path: Path, cases: int) -> dict[str, float]:
    with folder() as store:
        job = {"data": str(path), "store": str(store), "cases": cases}
        return {
            "cold": run_seconds("in_process", computed=STAGES * cases, **job),
            "bytes": sum(
                file.stat().st_size for file in store.rglob("*") if file.is_file()
            ),
            "cached": run_seconds("in_process", computed=0, **job),
        }


def _row(
    cases: int, turn: dict[str, float], *, before: dict[str, Any] | None
) -> dict[str, Any]:
    cold, cached = turn["cold"], turn["cached"]
    return {
        "cases": cases,
        "seconds": cold,
        "ms_per_case": 1000 * cold / cases,
        "rows_per_s": STAGES * cases / cold,
        "growth": before and (cold / before["seconds"]) / (cases / before["cases"]),
        "bytes_per_case": turn["bytes"] / cases,
        "cached_seconds": cached,
        "cached_ratio": cold / cached,
    }
