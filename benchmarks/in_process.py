"""How long an evaluation takes in one process, how it grows, and what it leaves on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report

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
            row = _row(cases, [_cold_and_cached(path, cases) for _ in range(repeats)])
            before = rows[-1] if rows else None
            growth = before and (row["seconds"] / before["seconds"]) / (cases / before["cases"])
            rows.append({**row, "growth": growth})
    largest = rows[-1]
    return Report(
        how=f"best of {repeats}, each in a fresh process, from the YAML file to the finished run, reading the JSONL "
        "file included and imports not; growth: of the seconds over that of the cases, 1 = linear",
        rows=rows,
        aims=[
            Aim("ms a case for all four stages", largest["ms_per_case"], 0.3),
            Aim("bytes on disk a case", largest["bytes_per_case"], 300),
            Aim("times faster when cached", largest["cached_ratio"], 20, at_least=True),
        ],
    )


def check(outcome: dict[str, Any], *, computed: int) -> float:
    """The seconds of a run, once it is sure that it did the work it is meant to measure."""
    if outcome["computed"] != computed:
        raise RuntimeError(f"computed {outcome['computed']} rows instead of {computed}")
    return float(outcome["seconds"])


def _cold_and_cached(path: Path, cases: int) -> dict[str, float]:
    with folder() as store:
        job: dict[str, Any] = {"data": str(path), "store": str(store), "cases": cases}
        seconds = check(fresh("in_process", **job), computed=STAGES * cases)
        size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        cached = check(fresh("in_process", **job), computed=0)
    return {"seconds": seconds, "bytes": size, "cached_seconds": cached}


def _row(cases: int, repeats: list[dict[str, float]]) -> dict[str, Any]:
    best = {name: min(repeat[name] for repeat in repeats) for name in repeats[0]}
    return {
        "cases": cases,
        "seconds": best["seconds"],
        "ms_per_case": 1000 * best["seconds"] / cases,
        "rows_per_s": STAGES * cases / best["seconds"],
        "bytes_per_case": best["bytes"] / cases,
        "cached_seconds": best["cached_seconds"],
        "cached_ratio": best["seconds"] / best["cached_seconds"],
    }
