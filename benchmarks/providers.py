"""What a provider's adapter costs beside the provider: many short requests to a server
in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

_REQUESTS = 1_000
#: Of which memory is measured: more than a shard, and several times as many.
_FEW, _MANY = 5_000, 20_000
_WAIT_S, _CONCURRENCY = 0.05, 100
_REPEATS = 3


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    with folder() as data, provider() as url, prefect_environment() as environment:
        path = data / "cases.jsonl"
        fresh("write_cases", path=str(path), cases=_MANY)
        address = python(
            "-m", "flows.server", "start", environment=environment
        ).split()[-1]
        server = {"api_url": f"{address}/api", "environment": environment}
        _turn(path, url, 1, server)  # the server's own first time
        start, turn = (
            best([_turn(path, url, cases, server) for _ in range(repeats)])
            for cases in (1, _REQUESTS)
        )
        peaks = [_peak_bytes(path, url, cases) for cases in (_FEW, _MANY)]
    ideal_s = _REQUESTS / _CONCURRENCY * _WAIT_S
    rows: list[dict[str, Any]] = []
    for what in ("in process", "under Prefect"):
        beyond_s = turn[what] - start[what]
        overhead_ms = 1000 * (beyond_s - ideal_s) / _REQUESTS
        rows.append(
            {
                "what": what,
                "seconds": turn[what],
                "start_s": start[what],
                "beyond_start_s": beyond_s,
                "ideal_s": ideal_s,
                "overhead_ms_per_request": overhead_ms,
            }
        )
    cached = {
        "what": "in process, cached",
        "seconds": turn["cached"],
        "start_s": start["cached"],
    }
    rows.append({**dict.fromkeys(rows[0]), **cached})
    loop_s = turn["plain loop"]
    plain = {
        "what": "the SDK in a plain loop",
        "seconds": loop_s,
        "beyond_start_s": loop_s,
        "ideal_s": ideal_s,
    }
    rows.append(
        {
            **dict.fromkeys(rows[0]),
            **plain,
            "overhead_ms_per_request": 1000 * (loop_s - ideal_s) / _REQUESTS,
        }
    )
    grown_kb = (peaks[1] - peaks[0]) / (_MANY - _FEW) / 1e3
    return Report(
        how=f"{_REQUESTS} requests of {1000 * _WAIT_S:.0f} ms, {_CONCURRENCY} at a "
        f"time, by the adapter `openai` to a "
        f"server on loopback in a process of its own, with all four stages; best of "
        f"{repeats}, by turns, in fresh "
        "processes, imports not included; the start is the time of one request. The "
        "plain loop awaits `AsyncOpenAI` "
        f"and no more. From {_FEW:,} to {_MANY:,} requests, peak memory grows from "
        f"{peaks[0] / 1e6:.0f} to "
        f"{peaks[1] / 1e6:.0f} MB, {grown_kb:.1f} kB a request",
        rows=rows,
        aims=[
            Aim("seconds in process beyond the start", rows[0]["beyond_start_s"], 1.5),
            Aim("seconds under Prefect beyond the start", rows[1]["beyond_start_s"], 3),
            Aim("seconds of a cached re-run", turn["cached"], 0.5),
        ],
    )


@contextmanager
def provider() -> Iterator[str]:
    """The address of a server that ends with the block."""
    command = [sys.executable, "-m", "benchmarks.provider_server", str(_WAIT_S)]
    with subprocess.Popen(
        command, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _turn(path: Path, url: str, cases: int, server: dict[str, Any]) -> dict[str, float]:
    with folder() as store, folder() as flow_store:
        job = _job(path, url, cases)
        return {
            "in process": run_seconds(
                "in_process", computed=STAGES * cases, **job, store=str(store)
            ),
            "cached": run_seconds("in_process", computed=0, **job, store=str(store)),
            "plain loop": fresh(
                "plain_sdk_loop", url=url, requests=cases, width=_CONCURRENCY
            ),
            "under Prefect": run_seconds(
                "through_flow",
                computed=STAGES * cases,
                **job,
                **server,
                store=str(flow_store),
            ),
        }


def _peak_bytes(path: Path, url: str, cases: int) -> int:
    with folder() as store:
        return int(
            fresh("in_process", **_job(path, url, cases), store=str(store))[
                "peak_bytes"
            ]
        )


def _job(path: Path, url: str, cases: int) -> dict[str, Any]:
    generator = f"{{use: openai, model: waiting, api_mode: chat_completions, base_url: '{url}'}}"
    settings = [
        f"generation.generator={generator}",
        f"runtime.max_concurrency={_CONCURRENCY}",
    ]
    return {"data": str(path), "cases": cases, "settings": settings}
