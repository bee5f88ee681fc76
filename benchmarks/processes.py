"""Fresh processes to measure in, and a Prefect server that is gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
#: A function of JSON values, on the first level of a module.
Job = Callable[..., Any]
Environment = Mapping[str, str]
#: Numbers of one repeat by name, mostly seconds.
Numbers = dict[str, float]
#: The settings that `flows.run` makes for itself: no telemetry, no noise.
_PREFECT_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def fresh(
    job: Job,
    *,
    environment: Environment | None = None,
    **arguments: Any,
) -> Any:
    """Return the result of a job in a fresh process.

    Arguments and result travel as JSON, paths as text.
    """
    name = f"{job.__module__}:{job.__name__}"
    text = json.dumps(arguments, default=str)
    output = python("-m", "benchmarks.run_job", name, text, environment=environment)
    # What a library prints is above the result.
    result = output.splitlines()[-1]
    return json.loads(result)


def run_seconds(
    job: Job,
    *,
    computed: int,
    **arguments: Any,
) -> float:
    """Return the seconds of a job that runs an evaluation in a fresh process.

    Raises `RuntimeError` when it computed another number of rows: the time would be
    that of other work.
    """
    outcome = fresh(job, **arguments)
    rows = outcome["computed"]
    if rows != computed:
        raise RuntimeError(
            f"{job.__name__} {arguments} computed {rows} rows instead of {computed}"
        )
    return float(outcome["seconds"])


def python(
    *arguments: str,
    environment: Environment | None = None,
    codes: tuple[int, ...] = (0,),
) -> str:
    """Return the output of a Python process at the root of the repository. Raises
    `RuntimeError` on other exit codes.
    """
    command = [sys.executable, *arguments]
    # Users' Python keeps what it has compiled: else each process would compile this project.
    kept = dict(os.environ if environment is None else environment)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in codes:
        raise RuntimeError(
            f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder that is removed when the block ends."""
    # Cleanup errors are ignored: a killed process may still hold files in it.
    with TemporaryDirectory(prefix="themis-bench-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def prefect_environment() -> Iterator[dict[str, str]]:
    """Make an environment with an empty Prefect home; a server that is started in it
    ends with the block.
    """
    with folder() as home:
        environment = {**os.environ, **_PREFECT_SETTINGS}
        environment["PREFECT_HOME"] = str(home)
        # Otherwise a server of the user's would be measured, and keep the runs.
        environment.pop("PREFECT_API_URL", None)
        try:
            yield environment
        finally:
            python("-m", "flows.server", "stop", environment=environment)


def start_server(environment: Environment) -> str:
    """Start a Prefect server in the environment and return its API's address."""
    return _server_api("start", environment)


def find_server(environment: Environment) -> str:
    """Return the API's address of the server that runs in the environment."""
    return _server_api("status", environment)


def best_of(
    repeats: int,
    measure: Callable[..., Numbers],
    *arguments: Any,
    **settings: Any,
) -> Numbers:
    """Measure so often, with the same arguments, and return the least of each number."""
    least = measure(*arguments, **settings)
    for _ in range(repeats - 1):
        turn = measure(*arguments, **settings)
        for name, number in turn.items():
            least[name] = min(least[name], number)
    return least


def _server_api(action: str, environment: Environment) -> str:
    output = python("-m", "flows.server", action, environment=environment)
    # The output ends with the address.
    address = output.split()[-1]
    return f"{address}/api"
