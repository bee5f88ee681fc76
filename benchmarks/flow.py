"""Overhead of Prefect: the same evaluation through the flow and in process, by turns,
and where the time of one run goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import steps
from benchmarks.in_process import STAGES
from benchmarks.jobs import in_process, through_flow, write_cases
from benchmarks.processes import (
    Numbers,
    best_of,
    folder,
    fresh,
    prefect_environment,
    run_seconds,
    start_server,
)
from benchmarks.report import Aim, Report, Row

_SIZES = (1, 1_000, 10_000, 100_000)
_QUICK_SIZES = (1, 1_000, 10_000)
_REPEATS = 3
#: With fewer cases, the time beyond the start is lost in the noise of the start.
_FEWEST_BEYOND_START = 10_000


def measure(*, quick: bool) -> Report:
    sizes, repeats = _SIZES, _REPEATS
    if quick:
        sizes, repeats = _QUICK_SIZES, 1
    turns = {}
    with folder() as data, prefect_environment() as environment:
        path = data / "cases.jsonl"
        fresh(write_cases, path=path, cases=sizes[-1])
        server = {"api_url": start_server(environment), "environment": environment}
        # Not measured: the first run on a new server is slower than those after it.
        _measure_turn(path, cases=1, server=server)
        for cases in sizes:
            job = {"cases": cases, "server": server}
            turns[cases] = best_of(repeats, _measure_turn, path, **job)
        step_report = steps.measure(path, quick=quick)
    rows = []
    for cases, turn in turns.items():
        rows.append(_build_row(cases, turn, start=turns[1]))
    largest = rows[-1]
    return Report(
        how=f"best of {repeats}, the flow and `Experiment.run` by turns, each in a "
        "fresh process and a fresh store, the same JSONL file and a running server; "
        "imports not included; the fixed start is the time of one case",
        rows=rows,
        aims=[
            Aim("seconds through the flow over in process", largest["ratio"], 1.5),
            Aim(
                "the same, both without their fixed start",
                largest["ratio_beyond_start"],
                1.5,
            ),
        ],
        parts={"one run, step by step": step_report},
    )


def _measure_turn(
    path: Path,
    *,
    cases: int,
    server: dict[str, Any],
) -> Numbers:
    rows = STAGES * cases
    with folder() as store, folder() as flow_store:
        job = {"data": path, "cases": cases}
        # A store for each: on a shared one, the second would find the rows of the first.
        flow_job = {**job, **server, "store": flow_store}
        return {
            "in_process": run_seconds(in_process, computed=rows, **job, store=store),
            "flow": run_seconds(through_flow, computed=rows, **flow_job),
            "cached": run_seconds(through_flow, computed=0, **flow_job),
        }


def _build_row(
    cases: int,
    turn: Numbers,
    *,
    start: Numbers,
) -> Row:
    ms_per_case = ratio_beyond_start = None
    if cases >= _FEWEST_BEYOND_START:
        flow_s = turn["flow"] - start["flow"]
        in_process_s = turn["in_process"] - start["in_process"]
        ms_per_case = 1000 * flow_s / cases
        ratio_beyond_start = flow_s / in_process_s
    return {
        "cases": cases,
        "in_process_s": turn["in_process"],
        "flow_s": turn["flow"],
        "ratio": turn["flow"] / turn["in_process"],
        "fixed_start_s": start["flow"],
        "ms_per_case_beyond_start": ms_per_case,
        "ratio_beyond_start": ratio_beyond_start,
        "cached_s": turn["cached"],
        "cached_ratio": turn["flow"] / turn["cached"],
    }
