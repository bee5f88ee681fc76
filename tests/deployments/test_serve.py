"""`python -m deployments.serve`: evaluations from the UI on one machine, without a
worker.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.serve import app
from flows.server_launch import free_port
from tests.deployments.conftest import ROOT, environment, kill_with_children, start
from tests.deployments.test_worker import last_run
from tests.support.prefect_api import (
    CASES,
    IN_FLIGHT,
    Api,
    calls,
    experiment_file,
    wait_for_calls,
)


@pytest.fixture
def served(api: Api) -> Iterator[subprocess.Popen[str]]:
    """The flow, served from a terminal, once it says where to look."""
    process = start(api, "deployments.serve", stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert (
        f"Open {api.url.removesuffix('/api')}/deployments" in process.stdout.readline()
    )
    yield process
    kill_with_children(process)


@pytest.mark.slow
def test_served_flow_runs_what_the_ui_asks_for(
    api: Api, served: subprocess.Popen[str], tmp_path: Path
) -> None:
    """A run with nothing but an experiment completes; one with a wrong path says where
    it looked.
    """
    good = api.ended(
        api.run("evaluate/serve", experiment=str(experiment_file(tmp_path)))
    )
    bad = api.ended(api.run("evaluate/serve", experiment="nowhere.yaml"))

    assert "Completed" == good.state.name
    assert ("nowhere", "BadInput") == (bad.name, bad.state.name)
    assert f"'nowhere.yaml' cannot be read from {ROOT}" in bad.state.message
    assert "Traceback" not in api.logs(bad.id)


@pytest.mark.slow
def test_ctrl_c_cancels_what_runs(
    api: Api, served: subprocess.Popen[str], tmp_path: Path
) -> None:
    """A terminal's Ctrl-C ends serving; its run is Cancelled, its record says
    interrupted, and the next goes on.
    """
    path = experiment_file(tmp_path, delay_s=0.3)
    run_id = api.run("evaluate/serve", experiment=str(path))
    wait_for_calls(tmp_path, CASES // 2)

    os.killpg(served.pid, signal.SIGINT)
    served.wait(timeout=60)
    cancelled = api.flow_run(run_id)
    manifest = last_run(tmp_path).manifest
    subprocess.run(
        [sys.executable, "-m", "flows.run", str(path)],
        env=environment(api),
        cwd=ROOT,
        check=True,
    )

    assert "Cancelled" == cancelled.state.name
    assert ("failed", "interrupted") == (manifest.status.value, manifest.error)
    assert CASES <= len(calls(tmp_path)) <= CASES + IN_FLIGHT
    assert "completed" == last_run(tmp_path).status.value


@pytest.mark.slow
def test_automations_are_created_once(api: Api, served: subprocess.Popen[str]) -> None:
    """Serving again does not double what the server has."""
    kill_with_children(served)
    second = start(api, "deployments.serve", stdout=subprocess.PIPE, text=True)
    assert second.stdout is not None
    second.stdout.readline()
    kill_with_children(second)

    async def names(client: Any) -> list[str]:
        return [automation.name for automation in await client.read_automations()]

    assert 1 == api.ask(names).count("Themis: silent runs have crashed")


def test_schedule_without_an_experiment_is_refused() -> None:
    """A schedule needs something to run, and a suggestion has to be there."""
    alone = CliRunner().invoke(app, ["--cron", "0 3 * * *"])
    missing = CliRunner().invoke(app, ["--experiment", "nowhere.yaml"])

    assert (2, 2) == (alone.exit_code, missing.exit_code)
    assert "needs an --experiment" in " ".join(alone.output.split())
    assert "nowhere.yaml" in missing.output


def test_number_of_runs_that_would_run_nothing_is_refused() -> None:
    """None at once is a mistake; the message names the option."""
    refused = CliRunner().invoke(app, ["--at-once", "0"])

    assert 2 == refused.exit_code
    assert "--at-once" in refused.output


def serving(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """How the program ends in a process of its own: it sets Prefect's variables."""
    return subprocess.run(
        [sys.executable, "-m", "deployments.serve", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_schedule_that_is_none_is_refused() -> None:
    """The message says what a schedule looks like."""
    refused = serving("--cron", "often", "--experiment", __file__)

    assert 2 == refused.returncode
    assert "'often' is not a schedule; write five fields" in refused.stderr


@pytest.mark.slow
def test_server_that_does_not_answer_is_one_line() -> None:
    """The line has its address; the exit code is that of a failure."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    failed = serving(PREFECT_API_URL=f"{nowhere}/api")

    assert 1 == failed.returncode
    assert f"error: the Prefect server at {nowhere} does not answer" in failed.stderr
    assert 1 == len(failed.stderr.splitlines())
