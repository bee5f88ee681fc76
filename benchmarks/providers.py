"""Overhead of a provider's adapter: many short requests to a server in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.call_jobs import plain_sdk_loop
from benchmarks.in_process import STAGES
from benchmarks.jobs import in_process, through_flow, write_cases
from benchmarks.processes import (
    ROOT,
    Numbers,
    best_of,
    folder,
    fresh,
    prefect_environment,
    run_seconds,
    start_server,
)
from benchmarks.report import Aim, Report, Row

_REQUESTS = 1_000
#: The sizes whose peak memory is compared: more than a shard, and several times that.
_FEW, _MANY, _QUICK_MANY = 5_000, 60_000, 20_000
_WAIT_S, _CONCURRENCY = 0.05, 100
#: What the waits alone take when every place is always occupied.
_IDEAL_S = _REQUESTS / _CONCURRENCY * _WAIT_S
_REPEATS = 3
_COLUMNS = (
    "seconds",
    "start_s",
    "beyond_start_s",
    "ideal_s",
    "overhead_ms_per_request",
)


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    many = _QUICK_MANY if quick else _MANY
    with folder() as data, provider() as url, prefect_environment() as environment:
        path = data / "cases.jsonl"
        fresh(write_cases, path=path, cases=many)
        server = {"api_url": start_server(environment), "environment": environment}
        # Not measured: the first run on a new server is slower than those after it.
        _measure_turn(path, url, cases=1, server=server)
        measured = repeats, _measure_turn, path, url
        start = best_of(*measured, cases=1, server=server)
        turn = best_of(*measured, cases=_REQUESTS, server=server)
        few_bytes, many_bytes = (
            _peak_bytes(path, url, cases=cases) for cases in (_FEW, many)
        )
    in_process_row = _overhead_row("in process", turn, start)
    prefect_row = _overhead_row("under Prefect", turn, start)
    # Nothing is requested, so there is no ideal to compare with.
    cached_row = _row(
        "in process, cached", seconds=turn["cached"], start_s=start["cached"]
    )
    loop_s = turn["plain loop"]
    loop_row = _row(
        "the SDK in a plain loop",
        seconds=loop_s,
        # It imports and opens its client before its clock starts.
        beyond_start_s=loop_s,
        ideal_s=_IDEAL_S,
        overhead_ms_per_request=_overhead_ms(loop_s),
    )
    in_process_s = in_process_row["beyond_start_s"]
    prefect_s = prefect_row["beyond_start_s"]
    return Report(
        how=_describe(repeats, many=many, few_bytes=few_bytes, many_bytes=many_bytes),
        rows=[in_process_row, prefect_row, cached_row, loop_row],
        aims=[
            Aim("seconds in process beyond the start", in_process_s, 1.2),
            # Of the same turns: what a slower machine can be held to.
            Aim("times the seconds of the plain loop", in_process_s / loop_s, 0.5),
            Aim("times the peak memory of few requests", many_bytes / few_bytes, 1.1),
            Aim("seconds under Prefect beyond the start", prefect_s, 3),
            Aim("seconds of a cached re-run", turn["cached"], 0.5),
        ],
    )


@contextmanager
def provider() -> Iterator[str]:
    """Yield the address of a provider's server that ends with the block."""
    command = [sys.executable, "-m", "benchmarks.provider_server", str(_WAIT_S)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            # The line arrives once the server listens.
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _measure_turn(
    path: Path,
    url: str,
    *,
    cases: int,
    server: dict[str, Any],
) -> Numbers:
    """Return the seconds of a run in process and again cached, of the SDK alone, and of
    a run of the flow.
    """
    rows = STAGES * cases
    job = _job(path, url, cases=cases)
    loop = {"url": url, "requests": cases, "width": _CONCURRENCY}
    # A store for each: on a shared one, the second would find the rows of the first.
    with folder() as store, folder() as flow_store:
        flow_job = {**job, **server, "store": flow_store}
        job["store"] = store
        return {
            "in process": run_seconds(in_process, computed=rows, **job),
            "cached": run_seconds(in_process, computed=0, **job),
            "plain loop": fresh(plain_sdk_loop, **loop),
            "under Prefect": run_seconds(through_flow, computed=rows, **flow_job),
        }


def _peak_bytes(
    path: Path,
    url: str,
    *,
    cases: int,
) -> int:
    job = _job(path, url, cases=cases)
    with folder() as store:
        outcome = fresh(in_process, **job, store=store)
    return int(outcome["peak_bytes"])


def _job(
    path: Path,
    url: str,
    *,
    cases: int,
) -> Row:
    client = "use: openai, model: waiting, api_mode: chat_completions"
    # A YAML mapping; doubled braces are single ones in an f-string.
    generator = f"{{{client}, base_url: '{url}'}}"
    settings = [
        f"generation.generator={generator}",
        f"runtime.max_concurrency={_CONCURRENCY}",
    ]
    return {"data": path, "cases": cases, "settings": settings}


def _overhead_row(
    name: str,
    turn: Numbers,
    start: Numbers,
) -> Row:
    beyond_start_s = turn[name] - start[name]
    return _row(
        name,
        seconds=turn[name],
        start_s=start[name],
        beyond_start_s=beyond_start_s,
        ideal_s=_IDEAL_S,
        overhead_ms_per_request=_overhead_ms(beyond_start_s),
    )


def _row(name: str, **measured: float) -> Row:
    """Return a row with every column, `None` in those not measured."""
    return {"what": name, **dict.fromkeys(_COLUMNS), **measured}


def _overhead_ms(seconds: float) -> float:
    return 1000 * (seconds - _IDEAL_S) / _REQUESTS


def _describe(
    repeats: int,
    *,
    many: int,
    few_bytes: int,
    many_bytes: int,
) -> str:
    wait_ms = 1000 * _WAIT_S
    few_mb, many_mb = few_bytes / 1e6, many_bytes / 1e6
    kb_per_request = (many_bytes - few_bytes) / (many - _FEW) / 1e3
    return (
        f"{_REQUESTS} requests of {wait_ms:.0f} ms, {_CONCURRENCY} at a time, by the "
        "adapter `openai` to a server on loopback in another process, with all four "
        f"stages; best of {repeats}, by turns, in fresh processes, imports not "
        "included; the start is the time of one request. The plain loop awaits "
        f"`AsyncOpenAI` and no more. From {_FEW:,} to {many:,} requests, peak memory "
        f"grows from {few_mb:.0f} to {many_mb:.0f} MB, {kb_per_request:.1f} kB a "
        "request"
    )
