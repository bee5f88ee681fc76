"""What Prefect costs: the same evaluation through the flow and in process, by turns,
and where one run's time goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import steps
from benchmarks.in_process import STAGES
from benchmarks.processes import (
    best,
    folder,
    fresh,
    prefect_environment,
    python,
    run_seconds,
)
from benchmarks.report import Aim, Report

_SIZES, _QUICK_SIZES = (1, 1_000, 10_000, 100_000), (1, 1_000, 10_000)
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    sizes, repeats = (_QUICK_SIZES, 1) if quick else (_SIZES, _REPEATS)
    with folder() as data, prefect_environment() as environment:
        path = data / "cases.jsonl"
        fresh("write_cases", path=str(path), cases=sizes[-1])
        address = python(
            "-m", "flows.server", "start", environment=environment
        ).split()[-1]
        server = {"api_url": f"{address}/api", "environment": environment}
        _turn(path, 1, server)  # the server's own first time
        turns = {
            cases: best([_turn(path, cases, server) for _ in range(repeats)])
            for cases in sizes
        }
        accounted = steps.measure(path, quick=quick)
    rows = [_row(cases, turn, start=turns[1]) for cases, turn in turns.items()]
    return Report(
        how=f"best of {repeats}, the flow and `Experiment.run` by turns, each in a "
        f"fresh process and a fresh store, "
        "the same JSONL file and a running server; imports not included; the fixed "
        "start is the time of one case",
        rows=rows,
        aims=[
            Aim("seconds through the flow over in process", rows[-1]["ratio"], 1.5),
            Aim(
                "the same, both without their fixed start",
                rows[-1]["ratio_beyond_start"],
                1.5,
            ),
        ],
        parts={"one run, step by step": accounted},
    )


def _turn(path: Path, cases: int, server: dict[str, Any]) -> dict[str, float]:
    with folder() as store, folder() as flow_store:
        job = {"data": str(path), "cases": cases}
        flow_job = {**job, **server, "store": str(flow_store)}
        return {
            "in_process": run_seconds(
                "in_process", computed=STAGES * cases, **job, store=str(store)
            ),
            "flow": run_seconds("through_flow", computed=STAGES * cases, **flow_job),
            "cached": run_seconds("through_flow", computed=0, **flow_job),
        }


def _row(
    cases: int, turn: dict[str, float], *, start: dict[str, float]
) -> dict[str, Any]:
    beyond = {name: turn[name] - start[name] for name in turn}
    measurable = cases >= 10_000  # fewer are lost in the noise of the start
    return {
        "cases": cases,
        "in_process_s": turn["in_process"],
        "flow_s": turn["flow"],
        "ratio": turn["flow"] / turn["in_process"],
        "fixed_start_s": start["flow"],
        "ms_per_case_beyond_start": 1000 * beyond["flow"] / cases
        if measurable
        else None,
        "ratio_beyond_start": beyond["flow"] / beyond["in_process"]
        if measurable
        else None,
        "cached_s": turn["cached"],
        "cached_ratio": turn["flow"] / turn["cached"],
    }
