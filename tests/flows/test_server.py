"""The local server: one for each home, also where several are started at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from flows.server import client_settings, password_of, running_server
from flows.server_launch import free_port
from flows.server_password import ensure_password, read_password


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of Prefect's that is new."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    return tmp_path


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_password_is_its_owner_s(tmp_path: Path) -> None:
    """It is made once, long, different for each home, and in a file that only its owner
    can read.
    """
    other = tmp_path / "other"
    other.mkdir()

    assert read_password(tmp_path) is None
    first, again = ensure_password(tmp_path), ensure_password(tmp_path)

    assert first == again == read_password(tmp_path)
    assert first != ensure_password(other)
    assert len(first) > 40
    (file,) = [path for path in tmp_path.iterdir() if path.is_file()]
    assert 0o600 == file.stat().st_mode & 0o777


def test_password_that_was_opened_to_others_is_closed(tmp_path: Path) -> None:
    """As after a copy that kept no modes."""
    ensure_password(tmp_path)
    (file,) = tmp_path.iterdir()
    file.chmod(0o644)

    ensure_password(tmp_path)

    assert 0o600 == file.stat().st_mode & 0o777


@pytest.mark.parametrize(
    "address", ["https://prefect.example/api", "http://127.0.0.1:1/api"]
)
def test_another_server_is_not_told_the_password(
    address: str, prefect_api: str
) -> None:
    """A server that the user has chosen is left as it is."""
    assert password_of(prefect_api)

    assert password_of(address) is None
    assert [address] == list(client_settings(address).values())


def test_password_is_known_by_either_name_of_the_server(prefect_api: str) -> None:
    """People write `localhost`."""
    by_name = prefect_api.replace("127.0.0.1", "localhost")

    assert password_of(prefect_api) == password_of(f"{by_name}/")


def test_port_of_a_server_that_has_ended_is_not_told_the_password(home: Path) -> None:
    """Whoever has the port now might write it down."""
    ensure_password(home)
    address = "http://127.0.0.1:4200/api"
    (home / "themis-server.json").write_text(
        json.dumps({"pid": str(os.getpid()), "api_url": address})
    )

    assert password_of(address) is None


def start_unguarded(home: Path) -> subprocess.Popen[bytes]:
    """A server as earlier versions started it, on record."""
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}/api"
    record = {"pid": str(process.pid), "api_url": address}
    (home / "themis-server.json").write_text(json.dumps(record))
    while not answers(f"{address}/admin/version"):
        assert process.poll() is None, (home / "log").read_text()
        time.sleep(0.1)
    return process


def answers(address: str) -> bool:
    """Whether someone without a password gets an answer."""
    try:
        return httpx.get(address, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_server_without_a_password_is_replaced(home: Path) -> None:
    """One that an earlier version has left running is ended, and no longer answers
    everyone.
    """
    earlier = start_unguarded(home)
    try:
        before = running_server()
        said = server("start", home).communicate(timeout=120)[0].split()[-1]
        ended = earlier.wait(timeout=10)
        again = server("start", home).communicate(timeout=60)[0].split()[-1]

        assert before is None
        assert ended is not None
        assert f"{said}/api" == running_server()
        assert said == again
        assert not answers(f"{said}/api/admin/version")
    finally:
        earlier.kill()
        server("stop", home).communicate(timeout=60)


@pytest.mark.slow
def test_password_is_printed_on_request_alone(home: Path) -> None:
    """Not by starting a server, nor into its log, nor onto its record."""
    try:
        said = server("start", home).communicate(timeout=120)[0]
        password = server("password", home).communicate(timeout=60)[0].strip()

        assert password == read_password(home)
        assert password not in said
        secret = password.partition(":")[2].encode()
        holding = [
            path.name
            for path in home.rglob("*")
            if path.is_file() and secret in path.read_bytes()
        ]
        assert ["themis-server.password"] == holding
    finally:
        server("stop", home).communicate(timeout=60)


def test_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """The line says which folder, and where to name another."""
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "home"
    starting = server("start", home)
    said = starting.communicate(timeout=60)[0]

    assert 1 == starting.returncode
    assert (
        f"error: Prefect's home {str(home)!r} cannot be written: Not a directory; name "
        "another folder in PREFECT_HOME\n"
    ) == said
