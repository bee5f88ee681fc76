"""The Prefect server dies while a run is under way."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments.test_worker import last_run, undisturbed
from tests.support.prefect_api import (
    CASES,
    IN_FLIGHT,
    ROOT,
    calls,
    experiment_file,
    wait_for_calls,
)
from tests.support.tables import tables_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Server:
    """A server of its own, on a port that stays."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "prefect",
                "server",
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
            ],
            cwd=ROOT,
            env={**os.environ, "PREFECT_HOME": str(self.home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not self.answers():
            assert self.process.poll() is None
            time.sleep(0.1)

    def answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self.url}/health", timeout=2) as response,
        ):
            return bool(response.status == 200)
        return False

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "home")
    server.start()
    yield server
    server.kill()


def start_run(path: Path, server: Server) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.run", str(path)],
        cwd=ROOT,
        env={
            **os.environ,
            "PREFECT_API_URL": server.url,
            "PREFECT_HOME": str(server.home),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_run_survives_a_server_that_comes_back(server: Server, tmp_path: Path) -> None:
    """A server killed and started again within a minute costs a run nothing: it ends as
    if nothing had been.
    """
    path = experiment_file(tmp_path, delay_s=1.0)
    run = start_run(path, server)
    wait_for_calls(tmp_path, CASES // 4)

    server.kill()
    server.start()
    output, _ = run.communicate(timeout=200)

    assert 0 == run.returncode, output
    assert CASES == len(calls(tmp_path))
    assert tables_of(undisturbed(tmp_path)) == tables_of(last_run(tmp_path))


def test_nothing_is_lost_with_a_server_that_stays_away(
    server: Server, tmp_path: Path
) -> None:
    """Without its server a run ends with one line that says so; the next run, on a new
    server, repeats nothing.
    """
    path = experiment_file(tmp_path, delay_s=0.3)
    run = start_run(path, server)
    wait_for_calls(tmp_path, CASES // 2)

    server.kill()
    output, _ = run.communicate(timeout=300)
    server.start()
    again = start_run(path, server)
    again_output, _ = again.communicate(timeout=120)

    assert 1 == run.returncode, output
    assert "the Prefect server" in " ".join(output.split())
    assert "Traceback" not in output
    assert 0 == again.returncode, again_output
    assert len(calls(tmp_path)) <= CASES + IN_FLIGHT
    assert tables_of(undisturbed(tmp_path)) == tables_of(last_run(tmp_path))
