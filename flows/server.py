"""A small local Prefect server: started once, reused, stopped when asked.

    python -m flows.server start|status|stop

It runs in its own process session, outlives the run that started it, and is not reached
by a terminal's Ctrl-C, so that a run can always record how it ended. Its settings are
the project's `prefect.toml`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from themis_lib.errors import ThemisError

# Prefect's own default, where people look for its pages.
_FIRST_PORT = 4200
# A first start, with a fresh home, takes 16 s on an idle machine.
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 5
_POLL_INTERVAL_S = 0.05
_HERE = Path(__file__).parent
# Process-wide: servers outlive whatever started them here, and `Popen` warns of a
# process that is still running when its object is collected.
_STARTED: list[subprocess.Popen[bytes]] = []


def prefect_home() -> Path:
    """Return the folder of Prefect's database, and of the record of its server here."""
    home = os.environ.get("PREFECT_HOME", "~/.prefect")
    return Path(home).expanduser().absolute()


def server_address() -> str:
    """Return the API address to use, with the local server's as the last resort.

    Precedence: the environment, Prefect's profile, the local server, which is started.
    """
    # Late: `--plan` and `flows.server status` need not wait for Prefect's import.
    from prefect.settings import PREFECT_API_URL

    address = os.environ.get("PREFECT_API_URL") or PREFECT_API_URL.value()
    if address:
        return str(address)
    return ensure_server()


def running_server() -> str | None:
    """Return the API address of the local server if it answers, else `None`."""
    record = _read_record()
    if record is None or not _is_ours(record["api_url"]):
        return None
    return record["api_url"]


def ensure_server() -> str:
    """Return the API address of the local server, started if it is not running.

    Raise `ThemisError` if it does not start.
    """
    home = prefect_home()
    # The parent of Prefect's home must exist, or its server fails.
    home.mkdir(
        parents=True,
        exist_ok=True,
    )
    # One process at a time: two runs that start together share one server.
    with (home / "themis-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return running_server() or _start_server()


def stop_server() -> bool:
    """Stop the local server and return whether it was running."""
    record = _read_record()
    if record is None or not _is_server(record["pid"]):
        return False
    # The group: the server has children, which a signal to it alone would orphan.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(record["pid"]), number)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while _is_server(record["pid"]) and time.monotonic() < deadline:
            time.sleep(0.1)
    for process in _STARTED:
        process.wait(timeout=_STOP_TIMEOUT_S)
    _STARTED.clear()
    _record_path().unlink(missing_ok=True)
    return True


def _start_server() -> str:
    """Start the server and return its API address."""
    # Another program may take the port meanwhile: the second try finds it taken.
    for _ in range(2):
        port = free_port()
        api_url = f"http://127.0.0.1:{port}/api"
        process = _launch_server(port, api_url)
        record = {"pid": str(process.pid), "api_url": api_url}
        _record_path().write_text(json.dumps(record))
        try:
            deadline = time.monotonic() + _START_TIMEOUT_S
            while process.poll() is None and time.monotonic() < deadline:
                if _is_ours(api_url):
                    return api_url
                time.sleep(_POLL_INTERVAL_S)
        except BaseException:
            # A Ctrl-C while it starts leaves nothing behind.
            stop_server()
            raise
        stop_server()
    raise ThemisError(
        f"the local Prefect server did not start; its log is {_log_path()}"
    )


def _launch_server(
    port: int,
    api_url: str,
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PREFECT_HOME": str(prefect_home()),
        # With a port other than 4200 the pages do not find the API by themselves.
        "PREFECT_UI_API_URL": api_url,
        # For the links in notifications.
        "PREFECT_UI_URL": api_url.removesuffix("/api"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    # A server must not be the client of another one.
    environment.pop("PREFECT_API_URL", None)
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
    ]
    command += [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with _log_path().open("ab") as output:
        process = subprocess.Popen(
            command,
            # Prefect reads `prefect.toml` in the working directory only.
            cwd=settings_directory(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A terminal's Ctrl-C would end the server first, and its client would hang.
            start_new_session=True,
        )
    _STARTED.append(process)
    return process


def settings_directory() -> Path:
    """Return the folder of `prefect.toml`.

    A wheel has it beside this module, a checkout above it.
    """
    for place in (_HERE, _HERE.parent):
        if (place / "prefect.toml").exists():
            return place
    return _HERE


def _log_path() -> Path:
    return prefect_home() / "themis-server.log"


def _record_path() -> Path:
    return prefect_home() / "themis-server.json"


def _read_record() -> dict[str, str] | None:
    try:
        record: dict[str, str] = json.loads(_record_path().read_text())
        return record
    except (OSError, ValueError):
        return None


def _is_ours(api_url: str) -> bool:
    """Return whether the server that answers is the one of this home."""
    # A record may be older than its server's end, and another server have its port.
    try:
        with urllib.request.urlopen(f"{api_url}/admin/settings", timeout=2) as response:
            return Path(json.load(response)["home"]) == prefect_home()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_server(pid: str) -> bool:
    """Return whether a process is a Prefect server that has not ended."""
    # The system reuses process numbers: a stale record must not kill another process.
    listing = subprocess.run(
        [
            "ps",
            "-o",
            "command=",
            "-p",
            pid,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    is_defunct = "<defunct>" in listing.stdout
    return "prefect server start" in listing.stdout and not is_defunct


def free_port() -> int:
    """Return a free port on loopback: 4200 where it is free, else any."""
    for port in (_FIRST_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ThemisError("no free port for a local Prefect server")


def main(arguments: list[str]) -> int:
    """Start, show or stop the local server; return the exit code."""
    if arguments == ["start"]:
        print(f"Prefect server at {ensure_server().removesuffix('/api')}")
    elif arguments == ["stop"]:
        print("stopped" if stop_server() else "no local server was running")
    elif arguments == ["status"]:
        address = running_server()
        if address is None:
            print("no local server is running")
        else:
            print(f"Prefect server at {address.removesuffix('/api')}")
    else:
        print("usage: python -m flows.server start|status|stop", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
