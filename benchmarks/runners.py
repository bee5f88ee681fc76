"""What processes and Dask gain over threads, for a metric that keeps a core busy."""

from __future__ import annotations

from typing import Any

from benchmarks.processes import best, folder, fresh, prefect_environment, python
from benchmarks.report import Aim, Report
from themis_lib.cpus import available_cpus

_RUNNERS = ("threads", "processes", "dask")
_CASES, _QUICK_CASES, _REPEATS = 1_000, 200, 2
_MS = 20.0


def measure(*, quick: bool) -> Report:
    cases, repeats = (_QUICK_CASES, 1) if quick else (_CASES, _REPEATS)
    with folder() as data, prefect_environment() as environment:
        path = data / "cases.jsonl"
        fresh("write_cases", path=str(path), cases=cases)
        address = python(
            "-m", "flows.server", "start", environment=environment
        ).split()[-1]
        job = {
            "data": str(path),
            "cases": cases,
            "work_ms": _MS,
            "api_url": f"{address}/api",
        }
        for runner in _RUNNERS:
            _seconds(
                runner, {**job, "cases": 1}, environment
            )  # the server's own first time
        turns = best(
            [
                {runner: _seconds(runner, job, environment) for runner in _RUNNERS}
                for _ in range(repeats)
            ]
        )
        start = best(
            [
                {
                    runner: _seconds(runner, {**job, "cases": 2}, environment)
                    for runner in _RUNNERS
                }
                for _ in range(repeats)
            ]
        )
    return Report(
        how=f"best of {repeats}, by turns, each in a fresh process and store on a "
        f"running server; {cases:,} cases "
        f"whose metric computes for {_MS:g} ms in Python, {available_cpus()} workers; "
        f"the start is the time of two cases, that "
        "of the workers included; imports not included",
        rows=[_row(runner, turns, start) for runner in _RUNNERS],
        aims=[
            Aim(
                "times faster with processes than with threads",
                _gain(turns, "processes"),
                1,
                at_least=True,
            )
        ],
    )


def _row(
    runner: str, turns: dict[str, float], start: dict[str, float]
) -> dict[str, Any]:
    beyond = {name: turns[name] - start[name] for name in turns}
    return {
        "runner": runner,
        "seconds": turns[runner],
        "start_s": start[runner],
        "times_faster": _gain(turns, runner),
        "times_faster_beyond_start": _gain(beyond, runner),
    }


def _gain(seconds: dict[str, float], runner: str) -> float:
    return seconds["threads"] / seconds[runner]


def _seconds(runner: str, job: dict[str, Any], environment: dict[str, str]) -> float:
    with folder() as store:
        outcome = fresh(
            "busy_metric",
            **job,
            store=str(store),
            runner=runner,
            environment=environment,
        )
    if outcome["scored"] != job["cases"]:
        raise RuntimeError(
            f"{runner} scored {outcome['scored']} rows instead of {job['cases']}"
        )
    return float(outcome["seconds"])
