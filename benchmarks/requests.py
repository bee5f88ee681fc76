"""How many requests an evaluation makes to an S3 store, cold and warm."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.in_process import STAGES
from benchmarks.object_store import BUCKET, CountingServer, counting_s3
from benchmarks.processes import folder, fresh, prefect_environment, python, run_seconds
from benchmarks.report import Aim, Report

_CASES, _QUICK_CASES = 10_000, 1_000
_OPERATIONS = ("LIST", "GET", "HEAD", "PUT", "DELETE")


def measure(*, quick: bool) -> Report:
    cases = _QUICK_CASES if quick else _CASES
    with folder() as data, counting_s3() as server, prefect_environment() as prefect:
        path = data / "cases.jsonl"
        fresh("write_cases", path=str(path), cases=cases)
        environment = {**prefect, **server.credentials}
        address = python(
            "-m", "flows.server", "start", environment=environment
        ).split()[-1]
        rows = _turns("in_process", path, cases, server, environment=environment)
        rows += _turns(
            "through_flow",
            path,
            cases,
            server,
            environment=environment,
            api_url=f"{address}/api",
        )
    return Report(
        how=f"requests to moto's S3 server on loopback for {cases:,} cases, which are "
        f"{STAGES} × {cases:,} rows in "
        "shards of 4,096 cases: an empty store, then the same again in a fresh process",
        rows=rows,
        aims=[
            Aim("requests through the flow, cold", rows[2]["requests"], 60),
            Aim("requests through the flow, warm", rows[3]["requests"], 20),
        ],
    )


def _turns(
    job: str, path: Path, cases: int, server: CountingServer, **arguments: Any
) -> list[dict[str, Any]]:
    """A run on an empty store and another on what it left, with the requests of each."""
    job_arguments = {
        "data": str(path),
        "cases": cases,
        "store": f"s3://{BUCKET}/{job}",
        **arguments,
    }
    rows = []
    for name, computed in (("cold", STAGES * cases), ("warm", 0)):
        server.take()
        run_seconds(job, computed=computed, **job_arguments)
        rows.append(_row(f"{job.replace('_', ' ')}, {name}", server.take()))
    return rows


def _row(name: str, counts: Counter[str]) -> dict[str, Any]:
    return {
        "run": name,
        "requests": counts.total(),
        **{operation: counts[operation] for operation in _OPERATIONS},
    }
