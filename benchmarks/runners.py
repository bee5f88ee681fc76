"""Gain of processes and Dask over threads, for a metric that keeps a core busy."""

from __future__ import annotations

from typing import Any

from benchmarks.jobs import busy_metric, write_cases
from benchmarks.processes import (
    Numbers,
    best_of,
    folder,
    fresh,
    prefect_environment,
    start_server,
)
from benchmarks.report import Aim, Report, Row
from themis_lib.cpus import available_cpus

_RUNNERS = ("threads", "processes", "dask")
_CASES, _QUICK_CASES = 1_000, 200
_REPEATS = 2
_MS = 20.0


def measure(*, quick: bool) -> Report:
    cases, repeats = _CASES, _REPEATS
    if quick:
        cases, repeats = _QUICK_CASES, 1
    with folder() as data, prefect_environment() as environment:
        path = data / "cases.jsonl"
        fresh(write_cases, path=path, cases=cases)
        job = {
            "data": path,
            "work_ms": _MS,
            "api_url": start_server(environment),
            "environment": environment,
        }
        # Not measured: the first run on a new server is slower than those after it.
        _measure_turn(job, cases=1)
        turns = best_of(repeats, _measure_turn, job, cases=cases)
        # Two cases are one shard, whose metric takes hardly any time.
        start = best_of(repeats, _measure_turn, job, cases=2)
    gain = _times_faster(turns, "processes")
    aim = "times faster with processes than with threads"
    return Report(
        how=f"best of {repeats}, by turns, each in a fresh process and store on a "
        f"running server; {cases:,} cases whose metric computes for {_MS:g} ms in "
        f"Python, {available_cpus()} workers; the start is the time of two cases, that "
        "of the workers included; imports not included",
        rows=[_build_row(runner, turns, start) for runner in _RUNNERS],
        aims=[Aim(aim, gain, 1, at_least=True)],
    )


def _measure_turn(job: dict[str, Any], *, cases: int) -> Numbers:
    seconds = {}
    for runner in _RUNNERS:
        with folder() as store:
            run = {"cases": cases, "runner": runner, "store": store}
            outcome = fresh(busy_metric, **job, **run)
        # With rows missing, the time would be that of less work.
        scored = outcome["scored"]
        if scored != cases:
            raise RuntimeError(f"{runner} scored {scored} rows instead of {cases}")
        seconds[runner] = outcome["seconds"]
    return seconds


def _build_row(
    runner: str,
    turns: Numbers,
    start: Numbers,
) -> Row:
    beyond_start = {}
    for name, seconds in turns.items():
        beyond_start[name] = seconds - start[name]
    return {
        "runner": runner,
        "seconds": turns[runner],
        "start_s": start[runner],
        "times_faster": _times_faster(turns, runner),
        "times_faster_beyond_start": _times_faster(beyond_start, runner),
    }


def _times_faster(seconds: Numbers, runner: str) -> float:
    return seconds["threads"] / seconds[runner]
