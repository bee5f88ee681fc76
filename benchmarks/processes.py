"""Fresh processes to measure in, and a Prefect server that is gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
_TIMEOUT_S = 3600
#: What `flows.run` sets for itself: no telemetry, no logs to the server.
_PREFECT_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def fresh(job: str, *, environment: Mapping[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    """What a function of `jobs.py` returns when it is called in a process of its own."""
    output = python("-m", "benchmarks.jobs", job, json.dumps(arguments), environment=environment)
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def python(*arguments: str, environment: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)) -> str:
    """The output of a Python process at the root of the repository. Raises `RuntimeError` on other exit codes."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode not in codes:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder; removed even while a process that was killed lets go of its files."""
    with TemporaryDirectory(prefix="themis-bench-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def prefect_environment() -> Iterator[dict[str, str]]:
    """An environment with a Prefect home of its own; a server that is started under it ends with the block."""
    with folder() as home:
        environment = {**os.environ, **_PREFECT_SETTINGS, "PREFECT_HOME": str(home)}
        environment.pop("PREFECT_API_URL", None)
        try:
            yield environment
        finally:
            python("-m", "flows.server", "stop", environment=environment)


def start_server(environment: Mapping[str, str]) -> str:
    """The API address of a local server under this environment."""
    return python("-m", "flows.server", "start", environment=environment).split()[-1] + "/api"
