"""What Prefect costs: the same evaluation through the flow and in process, by turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.in_process import STAGES, check
from benchmarks.processes import folder, fresh, prefect_environment, start_server
from benchmarks.report import Aim, Report

_SIZES, _QUICK_SIZES = (1, 1_000, 10_000, 100_000), (1, 1_000, 10_000)
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    sizes, repeats = (_QUICK_SIZES, 1) if quick else (_SIZES, _REPEATS)
    with folder() as data, prefect_environment() as environment:
        path = data / "cases.jsonl"
        fresh("write_cases", path=str(path), cases=sizes[-1])
        server = {"api_url": start_server(environment), "environment": environment}
        _turn(path, 1, server)  # the server's own first time
        best = {cases: _best([_turn(path, cases, server) for _ in range(repeats)]) for cases in sizes}
    rows = [_row(cases, seconds, start=best[1]) for cases, seconds in best.items()]
    return Report(
        how=f"best of {repeats}, the flow and `Experiment.run` by turns, each in a fresh process and a fresh store, "
        "the same JSONL file and a running server; imports not included; the fixed start is the time of one case",
        rows=rows,
        aims=[
            Aim("total seconds through the flow over in process", rows[-1]["ratio"], 1.5),
            Aim("the same without the fixed start", rows[-1]["ratio_beyond_start"], 1.5),
        ],
    )


def _turn(path: Path, cases: int, server: dict[str, Any]) -> dict[str, float]:
    with folder() as store, folder() as flow_store:
        job: dict[str, Any] = {"data": str(path), "cases": cases}
        flow_job = {**job, **server, "store": str(flow_store)}
        return {
            "in_process": check(fresh("in_process", **job, store=str(store)), computed=STAGES * cases),
            "flow": check(fresh("through_flow", **flow_job), computed=STAGES * cases),
            "cached": check(fresh("through_flow", **flow_job), computed=0),
        }


def _best(turns: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(turn[name] for turn in turns) for name in turns[0]}


def _row(cases: int, best: dict[str, float], *, start: dict[str, float]) -> dict[str, Any]:
    beyond = {name: best[name] - start[name] for name in best}
    return {
        "cases": cases,
        "in_process_s": best["in_process"],
        "flow_s": best["flow"],
        "ratio": best["flow"] / best["in_process"],
        "fixed_start_s": start["flow"],
        "ms_per_case_beyond_start": 1000 * beyond["flow"] / cases if cases > 1 else None,
        "ratio_beyond_start": beyond["flow"] / beyond["in_process"] if cases > 1 else None,
        "cached_s": best["cached"],
        "cached_ratio": best["flow"] / best["cached"],
    }
