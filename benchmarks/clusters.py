"""A large run on Dask and on Ray: the tables of one process, and what a row costs."""

from __future__ import annotations

from benchmarks.jobs import on_runner, write_cases
from benchmarks.processes import folder, fresh, prefect_environment, start_server
from benchmarks.report import Report, Row

_CASES, _QUICK_CASES = 1_000_000, 5_000
_WORKERS = 2
#: The first one's tables are what the others must make.
_RUNNERS = ("threads", "dask", "ray")


def measure(*, quick: bool) -> Report:
    cases = _QUICK_CASES if quick else _CASES
    with folder() as data, prefect_environment() as environment:
        path = data / "cases.parquet"
        fresh(write_cases, path=path, cases=cases)
        api_url = start_server(environment)
        rows = []
        expected = None
        for runner in _RUNNERS:
            with folder() as store:
                outcome = fresh(
                    on_runner,
                    data=path,
                    store=store,
                    cases=cases,
                    runner=runner,
                    workers=_WORKERS,
                    api_url=api_url,
                    environment=environment,
                )
            expected = expected or outcome["digests"]
            if outcome["digests"] != expected:
                raise RuntimeError(f"{runner} made other tables than {_RUNNERS[0]}")
            rows.append(_build_row(runner, cases, outcome))
    return Report(
        how=f"{cases:,} cases from a Parquet file through the flow, {_WORKERS} workers, "
        "each runner with a fresh process and an empty store on a running server; all "
        "make equal tables; imports not included, the start of the workers is",
        rows=rows,
    )


def _build_row(
    runner: str,
    cases: int,
    outcome: Row,
) -> Row:
    return {
        "runner": runner,
        "cases": cases,
        "shards": outcome["shards"],
        "seconds": outcome["seconds"],
        "ms_per_case": 1000 * outcome["seconds"] / cases,
        "peak_bytes_of_flow": outcome["peak_bytes"],
    }
