"""A small local Prefect server in a process session of its own: started once, reused,
stopped when asked.

    python -m flows.server start|status|stop

It outlives the run that started it, and a terminal's Ctrl-C does not reach it, so that
a run can always record how it ended. Its settings are the project's `prefect.toml`.
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
from collections.abc import Iterator
from pathlib import Path

from themis_lib.errors import ThemisError

_FIRST_PORT = 4200
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 5
_HERE = Path(__file__).parent
#: Servers outlive this process; a reference keeps `Popen` from taking that for a
#: mistake.
_STARTED: list[subprocess.Popen[bytes]] = []


def prefect_home() -> Path:
    """Where Prefect keeps its database, and this module the record of its server."""
    return Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser().absolute()


def server_address() -> str:
    """The API address to use: the environment's, else that of Prefect's profile, else
    the local server's.
    """
    from prefect.settings import PREFECT_API_URL

    return str(
        os.environ.get("PREFECT_API_URL") or PREFECT_API_URL.value() or ensure_server()
    )


def running_server() -> str | None:
    """The API address of the server that was started here, if it answers."""
    record = _read_record()
    return record["api_url"] if record and _is_ours(record["api_url"]) else None


def ensure_server() -> str:
    """The API address of the local server, started if it is not there. Raises
    `ThemisError` if it will not start.
    """
    with _start_lock():
        return running_server() or _start_server()


def stop_server() -> bool:
    """Stop the local server; returns whether there was one."""
    record = _read_record()
    if not record or not _is_server(record["pid"]):
        return False
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
    """Start the server. Where another one takes the port meanwhile, the second try
    finds it taken.
    """
    for _ in range(2):
        port = _free_port()
        api_url = f"http://127.0.0.1:{port}/api"
        process = _launch_server(port, api_url)
        _record_path().write_text(
            json.dumps({"pid": str(process.pid), "api_url": api_url})
        )
        try:
            if _comes_up(process, api_url):
                return api_url
        except BaseException:  # a Ctrl-C while it starts leaves nothing behind
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
        "PREFECT_UI_API_URL": api_url,
        "PREFECT_UI_URL": api_url.removesuffix(
            "/api"
        ),  # for the links in notifications
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    with _log_path().open("ab") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "prefect",
                "server",
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            cwd=_settings_directory(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _STARTED.append(process)
    return process


def _comes_up(
    process: subprocess.Popen[bytes],
    api_url: str,
) -> bool:
    """Wait until a server answers; false where it ended instead, or never does."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if _is_ours(api_url):
            return True
        time.sleep(0.05)
    return False


def _settings_directory() -> Path:
    """The directory of `prefect.toml`: beside this module in a wheel, above it in a
    checkout.
    """
    return next(
        (place for place in (_HERE, _HERE.parent) if (place / "prefect.toml").exists()),
        _HERE,
    )


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
    """Whether a server answers that keeps its records here, and not another that was
    given the same port.
    """
    try:
        with urllib.request.urlopen(f"{api_url}/admin/settings", timeout=2) as response:
            return Path(json.load(response)["home"]) == prefect_home()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_server(pid: str) -> bool:
    """Whether the process is a Prefect server, and not another that was given its
    number.
    """
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
    return (
        "prefect server start" in listing.stdout and "<defunct>" not in listing.stdout
    )


def _free_port() -> int:
    for port in (_FIRST_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ThemisError("no free port for a local Prefect server")


@contextlib.contextmanager
def _start_lock() -> Iterator[None]:
    """One process at a time: two runs that start together share one server."""
    prefect_home().mkdir(
        parents=True,
        exist_ok=True,
    )
    with (prefect_home() / "themis-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Start, show or stop the local server."""
    action = arguments[0] if len(arguments) == 1 else ""
    if action == "start":
        print(f"Prefect server at {ensure_server().removesuffix('/api')}")
    elif action == "stop":
        print("stopped" if stop_server() else "no local server was running")
    elif action == "status":
        address = running_server()
        print(
            f"Prefect server at {address.removesuffix('/api')}"
            if address
            else "no local server is running"
        )
    else:
        print("usage: python -m flows.server start|status|stop", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
