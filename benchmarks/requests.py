"""Number of requests that an evaluation makes to an S3 store, cold and warm."""

from __future__ import annotations

from typing import Any

from benchmarks.in_process import STAGES
from benchmarks.jobs import in_process, through_flow, write_cases
from benchmarks.object_store import BUCKET, CountingServer, counting_s3
from benchmarks.processes import (
    Job,
    folder,
    fresh,
    prefect_environment,
    run_seconds,
    start_server,
)
from benchmarks.report import Aim, Report, Row

_CASES, _QUICK_CASES = 10_000, 1_000
_OPERATIONS = ("LIST", "GET", "HEAD", "PUT", "DELETE")


def measure(*, quick: bool) -> Report:
    cases = _QUICK_CASES if quick else _CASES
    with folder() as data, counting_s3() as server, prefect_environment() as prefect:
        path = data / "cases.jsonl"
        fresh(write_cases, path=path, cases=cases)
        environment = {**prefect, **server.credentials}
        job = {"data": path, "cases": cases, "environment": environment}
        here = _cold_and_warm(in_process, job, server)
        # The server's tasks are what asks the store: it needs the credentials too.
        job["api_url"] = start_server(environment)
        there = _cold_and_warm(through_flow, job, server)
    cold, warm = there
    return Report(
        how=f"requests to moto's S3 server on loopback for {cases:,} cases, which are "
        f"a shard of each of {STAGES} stages: an empty store, then the same again in a "
        "fresh process",
        rows=[*here, *there],
        aims=[
            Aim("requests through the flow, cold", cold["requests"], 60),
            Aim("requests through the flow, warm", warm["requests"], 20),
        ],
    )


def _cold_and_warm(
    evaluate: Job,
    job: dict[str, Any],
    server: CountingServer,
) -> list[Row]:
    """Run on an empty store and again on what that left; count the requests of each."""
    name = evaluate.__name__
    # Different paths in the bucket: the second way must not find the rows of the first.
    store = f"s3://{BUCKET}/{name}"
    rows = []
    rows_in_all = STAGES * job["cases"]
    for temperature, computed in (("cold", rows_in_all), ("warm", 0)):
        # What was asked between two runs is nobody's.
        server.take()
        run_seconds(evaluate, computed=computed, store=store, **job)
        counts = server.take()
        words = name.replace("_", " ")
        row: Row = {"run": f"{words}, {temperature}"}
        row["requests"] = counts.total()
        # Each operation has its column, also when it did not occur.
        for operation in _OPERATIONS:
            row[operation] = counts[operation]
        rows.append(row)
    return rows
