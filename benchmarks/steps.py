"""Where the seconds of one `python -m flows.run` go, from the start of the process to
its exit.

The times within a run are the server's own records of it: flow run, task runs,
artifacts.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.jobs import EXPERIMENT
from benchmarks.processes import folder, prefect_environment, python
from benchmarks.report import Aim, Report

_CASES, _REPEATS = 10_000, 5
#: What a run imports, also where it does so late: pyarrow brings pandas, and Prefect
#: FastAPI.
_IMPORTS = """
import gc, time
gc.disable()
import flows.run, flows.local, flows.display, pandas, fastapi.encoders
print(time.time())
"""
_IMPORT = "Python starts and imports"
_STEPS = {
    "created": "experiment compiled, data checked, server there",
    "progress": "flow run begun, store opened",
    "first": "data read and cut into shards",
    "last": "tasks",
    "table": "tables, summary and record written",
    "ended": "artifacts, end of the flow run",
    "exit": "all on record, exit",
}


def measure(path: Path, *, quick: bool) -> Report:
    """One run of each kind, step by step; `path` has at least 10,000 cases."""
    repeats = 1 if quick else _REPEATS
    temporary = [_first_of_all(path) for _ in range(1 if quick else 2)]
    with prefect_environment() as environment:
        api_url = _server(environment, "start")
        with folder() as store:
            _steps(path, _CASES, store, environment, api_url)
            cached = [
                _steps(path, _CASES, store, environment, api_url)
                for _ in range(repeats)
            ]
        small = []
        for _ in range(repeats):
            with folder() as store:
                small.append(_steps(path, 1, store, environment, api_url))
        imports = min(_import_seconds(environment) for _ in range(repeats))
    columns = {
        "no_server_yet_1_case_s": _quickest(temporary),
        "server_runs_1_case_s": _quickest(small),
        f"server_runs_{_CASES}_cached_s": _quickest(cached),
    }
    for steps in columns.values():
        steps[_STEPS["created"]] -= imports
        steps[_IMPORT] = imports
    names = [_IMPORT, *_STEPS.values(), "in all"]
    return Report(
        how=f"the quickest of {repeats} runs of each kind ({len(temporary)} that start "
        f"the server) of benchmarks/"
        "demo.yaml, by the command line; imports are timed alone, in a process of their own",
        rows=[
            {"step": name, **{column: steps[name] for column, steps in columns.items()}}
            for name in names
        ],
        aims=[
            Aim(
                f"seconds of a fully cached run of {_CASES:,} rows, server running",
                _quickest(cached)["in all"],
                3,
            )
        ],
    )


def _first_of_all(path: Path) -> dict[str, float]:
    with prefect_environment() as environment, folder() as store:
        return _steps(path, 1, store, environment, None)


def _steps(
    path: Path,
    cases: int,
    store: Path,
    environment: Mapping[str, str],
    api_url: str | None,
) -> dict[str, float]:
    began = time.time()
    output = python(
        "-m",
        "flows.run",
        EXPERIMENT,
        f"datasets.0.path={path}",
        "--store",
        str(store),
        "--limit",
        str(cases),
        environment=environment,
    )
    exited = time.time()
    flow_run_id = re.findall(r"flow-run/([0-9a-f-]{36})", output)[0]
    times = dict(
        _times(api_url or _server(environment, "status"), flow_run_id), exit=exited
    )
    steps, before = {}, began
    for name, step in _STEPS.items():
        steps[step], before = times[name] - before, times[name]
    return {**steps, "in all": exited - began}


def _import_seconds(environment: Mapping[str, str]) -> float:
    began = time.time()
    return float(python("-c", _IMPORTS, environment=environment)) - began


def _times(api_url: str, flow_run_id: str) -> Iterator[tuple[str, float]]:
    """When what ends each step happened."""
    flow_run = _asked(f"{api_url}/flow_runs/{flow_run_id}")
    yield from (
        ("created", _seconds(flow_run["created"])),
        ("ended", _seconds(flow_run["end_time"])),
    )
    of_run = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    tasks = _asked(f"{api_url}/task_runs/filter", of_run)
    ends = [_seconds(task["end_time"]) for task in tasks]
    yield from (
        (
            "first",
            min(_seconds(task["start_time"] or task["end_time"]) for task in tasks),
        ),
        ("last", max(ends)),
    )
    for artifact in _asked(f"{api_url}/artifacts/filter", of_run):
        if artifact["type"] in ("progress", "table"):
            yield artifact["type"], _seconds(artifact["created"])


def _asked(address: str, question: Any = None) -> Any:
    body = None if question is None else json.dumps(question).encode()
    with urlopen(
        Request(address, data=body, headers={"Content-Type": "application/json"})
    ) as answer:
        return json.load(answer)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _server(environment: Mapping[str, str], action: str) -> str:
    return (
        python("-m", "flows.server", action, environment=environment).split()[-1]
        + "/api"
    )


def _quickest(runs: list[dict[str, float]]) -> dict[str, float]:
    return min(runs, key=lambda steps: steps["in all"])
