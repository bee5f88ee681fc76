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

#: What `flows.run` sets for itself: no telemetry, no noise.
_PREFECT_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def fresh(
    job: str, *, environment: Mapping[str, str] | None = None, **arguments: Any
) -> Any:
    """What a function of `jobs.py` returns when it is called in a process of its own."""
    output = python(
        "-m", "benchmarks.jobs", job, json.dumps(arguments), environment=environment
    )
    return json.loads(output.splitlines()[-1])


def run_seconds(job: str, *, computed: int, **arguments: Any) -> float:
    """The seconds of a run in a process of its own, once it is sure that it did the
    work to be measured.
    """
    outcome = fresh(job, **arguments)
    if outcome["computed"] != computed:
        raise RuntimeError(
            f"{job} {arguments} computed {outcome['computed']} rows instead of {computed}"
        )
    return float(outcome["seconds"])


def python(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    codes: tuple[int, ...] = (0,),
) -> str:
    """The output of a Python process at the root of the repository. Raises
    `RuntimeError` on other exit codes.
    """
    root = Path(__file__).parent.parent
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in codes:
        raise RuntimeError(
            f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder; removed even while a process that was killed lets go of its
    files.
    """
    with TemporaryDirectory(prefix="themis-bench-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def prefect_environment() -> Iterator[dict[str, str]]:
    """An environment with a Prefect home of its own; a server that is started under it
    ends with the block.
    """
    with folder() as home:
        environment = {**os.environ, **_PREFECT_SETTINGS, "PREFECT_HOME": str(home)}
        environment.pop("PREFECT_API_URL", None)
        try:
            yield environment
        finally:
            python("-m", "flows.server", "stop", environment=environment)


def best(repeats: list[dict[str, float]]) -> dict[str, float]:
    """The least of each number."""
    return {name: min(repeat[name] for repeat in repeats) for name in repeats[0]}
