"""No call leaves the machine but the user's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.display import STARTING
from tests.support.prefect_api import ROOT, experiment_file
from tests.support.terminal import shown_in_terminal

#: Runs first in every Python process, and notes whom it calls.
WATCH = """
import os, sys

def note(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        here = not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1")
    elif event == "socket.getaddrinfo":
        address = arguments[0]
        here = address in (None, "", "127.0.0.1", "::1", "localhost")
    else:
        return
    if not here:
        with open(os.environ["OUTBOUND"], "a") as file:
            file.write(f"{sys.argv} called {address}\\n")

sys.addaudithook(note)
"""
#: What would switch Prefect's telemetry off, without this project.
_SWITCHES = ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "CI", "GITHUB_ACTIONS")


def watched(folder: Path) -> dict[str, str]:
    """An environment whose processes note outbound calls in `folder/outbound`."""
    (folder / "sitecustomize.py").write_text(WATCH)
    environment = {
        **os.environ,
        "OUTBOUND": str(folder / "outbound"),
        "PREFECT_HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
    }
    for name in (*_SWITCHES, "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
        environment.pop(name, None)
    return environment


def outbound(folder: Path) -> str:
    path = folder / "outbound"
    return path.read_text() if path.exists() else ""


@pytest.mark.slow
def test_run_and_its_server_call_nobody(tmp_path: Path) -> None:
    """Seen from a terminal, where Prefect would begin to count; it says nothing of that
    either.
    """
    environment = watched(tmp_path)
    (tmp_path / "experiment").mkdir()
    path = experiment_file(tmp_path / "experiment")
    python = [sys.executable, "-m"]
    try:
        said = shown_in_terminal(
            [*python, "flows.run", str(path)], cwd=ROOT, env=environment
        )
    finally:
        subprocess.run([*python, "flows.server", "stop"], env=environment, check=True)

    assert "completed" in said
    assert STARTING in said
    assert "" == outbound(tmp_path)
    assert "anonymous usage data" not in said


def test_calls_are_noted(tmp_path: Path) -> None:
    """The watch sees a call: without it the test above could not fail."""
    call = "import socket; socket.getaddrinfo('192.0.2.1', 9)"

    subprocess.run([sys.executable, "-c", call], env=watched(tmp_path), check=True)

    assert "called 192.0.2.1" in outbound(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["flows.evaluate", "flows.server", "tasks", "deployments.serve"]
)
def test_prefect_is_told_not_to_count_before_it_is_imported(
    module: str, tmp_path: Path
) -> None:
    """Whichever part of the project is imported first, in a process of its own."""
    look = (
        f"import {module}\n"
        "from prefect._internal.analytics import is_telemetry_enabled\n"
        "from prefect.settings import get_current_settings as settings\n"
        "print(is_telemetry_enabled(), settings().server.analytics_enabled)"
    )

    said = shown_in_terminal(
        [sys.executable, "-c", look], cwd=tmp_path, env=watched(tmp_path)
    )

    assert ["False", "False"] == said.split()
