"""Steps of one `python -m flows.run`, from the start of the process to its exit, and
the seconds of each.

The times within a run are the server's own records of it: flow run, task runs,
artifacts.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.cached_run import RUN_IMPORTS
from benchmarks.jobs import EXPERIMENT
from benchmarks.processes import (
    Environment,
    Numbers,
    find_server,
    folder,
    prefect_environment,
    python,
    start_server,
)
from benchmarks.report import Aim, Report, Row
from flows.server_password import read_password

_CASES, _REPEATS = 10_000, 5
#: What a run imports, also where it does so late: pyarrow brings pandas where it is.
_IMPORTS = f"""{RUN_IMPORTS}
import contextlib, time
with contextlib.suppress(ModuleNotFoundError): import pandas
print(time.time())
"""
_IMPORT = "Python starts and imports"
_TOTAL = "in all"
#: The steps in order, each under the event that ends it.
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
    """Measure each kind of run, step by step; `path` has at least 10,000 cases."""
    repeats = 1 if quick else _REPEATS
    # Fewer, since each makes a new Prefect home, which takes long.
    starts = 1 if quick else 2
    starting, cached, small = [], [], []
    for _ in range(starts):
        starting.append(_run_without_server(path))
    with prefect_environment() as environment:
        api_url = start_server(environment)
        server = {"environment": environment, "api_url": api_url}
        with folder() as store:
            job = {"cases": _CASES, "store": store, **server}
            # Fills the store.
            _time_steps(path, **job)
            for _ in range(repeats):
                cached.append(_time_steps(path, **job))
        for _ in range(repeats):
            with folder() as store:
                job = {"cases": 1, "store": store, **server}
                small.append(_time_steps(path, **job))
        imports = [_import_seconds(environment) for _ in range(repeats)]
    imports_s = min(imports)
    columns = {
        "no_server_yet_1_case_s": _quickest(starting),
        "server_runs_1_case_s": _quickest(small),
        f"server_runs_{_CASES}_cached_s": _quickest(cached),
    }
    for seconds in columns.values():
        # The first step begins with the process, and so contains the imports.
        seconds[_STEPS["created"]] -= imports_s
        seconds[_IMPORT] = imports_s
    aim = f"seconds of a fully cached run of {_CASES:,} rows, server running"
    cached_s = _quickest(cached)[_TOTAL]
    return Report(
        how=f"the quickest of {repeats} runs of each kind ({starts} that start the "
        "server) of benchmarks/demo.yaml, by the command line; imports are timed "
        "alone, in another process",
        rows=_build_rows(columns),
        aims=[Aim(aim, cached_s, 3)],
    )


def _build_rows(columns: dict[str, Numbers]) -> list[Row]:
    rows = []
    for step in (_IMPORT, *_STEPS.values(), _TOTAL):
        row: Row = {"step": step}
        for column, seconds in columns.items():
            row[column] = seconds[step]
        rows.append(row)
    return rows


def _run_without_server(path: Path) -> Numbers:
    with prefect_environment() as environment, folder() as store:
        return _time_steps(path, cases=1, store=store, environment=environment)


def _time_steps(
    path: Path,
    *,
    cases: int,
    store: Path,
    environment: Environment,
    api_url: str | None = None,
) -> Numbers:
    """Return the seconds of each step of a run. Without an address, the run starts a
    server.
    """
    options = (
        f"datasets.0.path={path}",
        "--store",
        str(store),
        "--limit",
        f"{cases}",
    )
    began = time.time()
    output = python("-m", "flows.run", EXPERIMENT, *options, environment=environment)
    exited = time.time()
    flow_run_id = re.findall(r"flow-run/([0-9a-f-]{36})", output)[0]
    if api_url is None:
        api_url = find_server(environment)
    login = _login(environment)
    times = _event_times(partial(_fetch, login=login), api_url, flow_run_id)
    times["exit"] = exited
    seconds = {}
    before = began
    for event, step in _STEPS.items():
        ended = times[event]
        seconds[step] = ended - before
        before = ended
    seconds[_TOTAL] = exited - began
    return seconds


def _login(environment: Environment) -> dict[str, str]:
    """Return the headers that log in to the local server of an environment's home."""
    password = read_password(Path(environment["PREFECT_HOME"]))
    if password is None:
        return {}
    token = base64.b64encode(password.encode()).decode()
    return {"Authorization": f"Basic {token}"}


def _event_times(
    fetch: Callable[..., Any],
    api_url: str,
    flow_run_id: str,
) -> Numbers:
    """Return when each event that ends a step happened, in seconds since 1970."""
    flow_run = fetch(f"{api_url}/flow_runs/{flow_run_id}")
    of_run = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    starts, ends = [], []
    for task in fetch(f"{api_url}/task_runs/filter", of_run):
        ended = task["end_time"]
        # A cached task has no start.
        began = task["start_time"] or ended
        starts.append(_timestamp(began))
        ends.append(_timestamp(ended))
    times = {
        "created": _timestamp(flow_run["created"]),
        "first": min(starts),
        "last": max(ends),
        "ended": _timestamp(flow_run["end_time"]),
    }
    for artifact in fetch(f"{api_url}/artifacts/filter", of_run):
        # The progress bar is made when a run begins, its table when all is computed.
        kind = artifact["type"]
        if kind in ("progress", "table"):
            times[kind] = _timestamp(artifact["created"])
    return times


def _fetch(address: str, query: Any = None, *, login: dict[str, str]) -> Any:
    """Return the JSON at the address; a query is posted."""
    body = None
    if query is not None:
        body = json.dumps(query).encode()
    headers = {"Content-Type": "application/json", **login}
    request = Request(address, data=body, headers=headers)
    with urlopen(request) as response:
        return json.load(response)


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _import_seconds(environment: Environment) -> float:
    began = time.time()
    # Its own clock, before it ends: the exit is another step.
    imported = float(python("-c", _IMPORTS, environment=environment))
    return imported - began


def _quickest(runs: list[Numbers]) -> Numbers:
    """Return the run with the least total, so that its steps add up to it."""
    return min(runs, key=lambda seconds: seconds[_TOTAL])
