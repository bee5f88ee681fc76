"""Time of an evaluation in one process, how it grows, and the bytes it stores."""

from __future__ import annotations

from pathlib import Path

from benchmarks import jobs
from benchmarks.processes import Numbers, best_of, folder, fresh, run_seconds
from benchmarks.report import Aim, Report, Row

#: Generate, parse, score, reduce: all cases of the demo differ, so each has a row in
#: every stage.
STAGES = 4
_SIZES = (1_000, 10_000, 100_000)
_QUICK_SIZES = (1_000, 10_000)
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    sizes, repeats = _SIZES, _REPEATS
    if quick:
        sizes, repeats = _QUICK_SIZES, 1
    rows: list[Row] = []
    with folder() as data:
        path = data / "cases.jsonl"
        fresh(jobs.write_cases, path=path, cases=sizes[-1])
        for cases in sizes:
            turn = best_of(repeats, _cold_and_cached, path, cases)
            before = rows[-1] if rows else None
            row = _build_row(cases, turn, before=before)
            rows.append(row)
    largest = rows[-1]
    return Report(
        how=f"best of {repeats}, each in a fresh process, from the YAML file to the "
        "finished run, reading the JSONL file included and imports not; growth: of the "
        "seconds over that of the cases, 1 = linear",
        rows=rows,
        aims=[
            Aim("ms a case for all four stages", largest["ms_per_case"], 0.3),
            Aim("bytes on disk a case", largest["bytes_per_case"], 300),
            Aim("times faster when cached", largest["cached_ratio"], 20, at_least=True),
        ],
    )


def _cold_and_cached(path: Path, cases: int) -> Numbers:
    with folder() as store:
        job = {"data": path, "store": store, "cases": cases}
        cold = run_seconds(jobs.in_process, computed=STAGES * cases, **job)
        # Before the second run, whose own manifest and tables would count too.
        stored = 0
        for path_in_store in store.rglob("*"):
            if path_in_store.is_file():
                stored += path_in_store.stat().st_size
        cached = run_seconds(jobs.in_process, computed=0, **job)
    return {"cold": cold, "bytes": stored, "cached": cached}


def _build_row(
    cases: int,
    turn: Numbers,
    *,
    before: Row | None,
) -> Row:
    cold = turn["cold"]
    cached = turn["cached"]
    growth = None
    if before is not None:
        slower = cold / before["seconds"]
        larger = cases / before["cases"]
        growth = slower / larger
    return {
        "cases": cases,
        "seconds": cold,
        "ms_per_case": 1000 * cold / cases,
        "rows_per_s": STAGES * cases / cold,
        "growth": growth,
        "bytes_per_case": turn["bytes"] / cases,
        "cached_seconds": cached,
        "cached_ratio": cold / cached,
    }
