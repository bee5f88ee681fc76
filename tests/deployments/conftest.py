"""A deployment as the documentation describes it: a server, a work pool, `prefect deploy`, and
a worker.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.support.prefect_api import ROOT, Api


def environment(api: Api) -> dict[str, str]:
    return {
        **os.environ,
        "PREFECT_API_URL": api.url,
        "PWD": str(ROOT),
        "PREFECT_LOGGING_LEVEL": "INFO",
    }


def prefect(api: Api, *arguments: str) -> str:
    """What a `prefect` command prints."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(api),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def start(api: Api, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """A module of Python in a process group of its own."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(api), start_new_session=True, **options
    )


def start_worker(api: Api, *arguments: str) -> subprocess.Popen[Any]:
    return start(
        api,
        "prefect",
        "worker",
        "start",
        "--pool",
        "themis",
        "--install-policy",
        "never",
        *arguments,
    )


def kill_with_children(process: subprocess.Popen[Any]) -> None:
    """End a process and everything it started, as when a machine loses its power."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            # A child that ended by itself must not save the others.
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait(timeout=60)


@pytest.fixture(scope="session")
def api(prefect_api: str) -> Api:
    """The server of the session."""
    return Api(prefect_api)


@pytest.fixture(scope="session")
def deployed(api: Api) -> Api:
    """The server with the deployments of `prefect.yaml`."""
    prefect(api, "work-pool", "create", "themis", "--type", "process")
    prefect(api, "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
    return api


@pytest.fixture
def worker(deployed: Api) -> Iterator[subprocess.Popen[Any]]:
    """A worker for the deployments."""
    process = start_worker(deployed)
    yield process
    kill_with_children(process)
