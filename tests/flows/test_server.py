"""The local server: one for each home, also where several are started at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.server import running_server

pytestmark = pytest.mark.slow


def server(action: str, home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "flows.server", action]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_homes_that_start_at_once_do_not_share_a_server(tmp_path: Path) -> None:
    """Two servers that start together, and see the same free port, end on ports of
    their own.
    """
    homes = [tmp_path / name for name in ("one", "two")]
    try:
        starting = [server("start", home) for home in homes]
        said = [process.communicate(timeout=120)[0].split()[-1] for process in starting]
    finally:
        stopped = [server("stop", home).communicate(timeout=60)[0] for home in homes]

    assert [0, 0] == [process.returncode for process in starting], said
    assert 2 == len(set(said))
    assert ["stopped\n"] * 2 == stopped


def test_server_of_another_home_is_not_taken_for_ones_own(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is older than its server's end does not lead to whoever has the
    port now.
    """
    (tmp_path / "themis-server.json").write_text(
        json.dumps({"pid": "1", "api_url": prefect_api})
    )

    own = running_server()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    other = running_server()

    assert (prefect_api, None) == (own, other)
