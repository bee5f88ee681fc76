"""A small local Prefect server: started once, reused, stopped when asked.

    python -m flows.server start|status|stop|password

It runs in its own process session, outlives the run that started it, and is not reached
by a terminal's Ctrl-C, so that a run can always record how it ended. Its settings are
the project's `prefect.toml`. Whoever may ask it for a run may have it run any code, so
it answers on loopback, under its own name, to those who know its password; `password`
prints it, for the login page and other clients.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import typer

from flows.server_launch import (
    LOOPBACK,
    api_url_at,
    free_port,
    launch_server,
    log_path,
)
from flows.server_password import read_password
from flows.typed import login_command
from themis_lib.errors import ThemisError

# A first start, with a fresh home, takes 16 s on an idle machine.
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 5
# A busy machine must not have a second server beside a slow one.
_ANSWER_TIMEOUT_S = 10
_POLL_INTERVAL_S = 0.05
# What servers are started with, by this version and by earlier ones.
_COMMANDS = ("flows.guarded_server", "prefect server start")
# Process-wide: servers outlive whatever started them here, and `Popen` warns of a
# process that is still running when its object is collected.
_STARTED: list[subprocess.Popen[bytes]] = []

app = typer.Typer(
    help="The local Prefect server.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


def prefect_home() -> Path:
    """Return the folder of Prefect's database, and of the record of its server here."""
    home = os.environ.get("PREFECT_HOME", "~/.prefect")
    return Path(home).expanduser().absolute()


def server_address(*, tell_start: Callable[[], None] | None = None) -> str:
    """Return the API address to use, with the local server's as the last resort.

    Precedence: the environment, Prefect's profile, the local server, which is started;
    `tell_start` is called before that, since it takes a while.
    """
    # Late: `--plan` and `flows.server status` need not wait for Prefect's import.
    from prefect.settings import PREFECT_API_URL

    address = os.environ.get("PREFECT_API_URL") or PREFECT_API_URL.value()
    if address:
        return str(address)
    return ensure_server(tell_start=tell_start)


def client_settings(api_url: str) -> dict[Any, Any]:
    """Return Prefect's settings for a client of the server at an address.

    The local server's password is among them for that server alone.
    """
    # Late, as above.
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

    settings: dict[Any, Any] = {PREFECT_API_URL: api_url}
    password = password_of(api_url)
    if password is not None:
        settings[PREFECT_API_AUTH_STRING] = password
    return settings


def password_of(api_url: str) -> str | None:
    """Return the password of the server at an address if that is the local one.

    `None` for any other server.
    """
    record = _read_record()
    # As people write it, too.
    usual = api_url.rstrip("/").replace("//localhost:", f"//{LOOPBACK}:")
    # A record may be older than its server's end, and another server have its port.
    if record is None or record["api_url"] != usual or not _is_server(record["pid"]):
        return None
    return read_password(prefect_home())


def running_server() -> str | None:
    """Return the API address of the local server if it answers, else `None`.

    A server of an earlier version, which asked for no password, does not count.
    """
    record = _read_record()
    if record is None:
        return None
    settings = _ask_for_settings(record["api_url"], password_of(record["api_url"]))
    if settings is None or settings["server"]["api"]["auth_string"] is None:
        return None
    return record["api_url"]


def ensure_server(*, tell_start: Callable[[], None] | None = None) -> str:
    """Return the API address of the local server, started if it is not running.

    `tell_start` is called before it waits for a start. Raise `ThemisError` if the
    server does not start.
    """
    running = running_server()
    if running is not None:
        return running
    if tell_start is not None:
        tell_start()
    # One process at a time: two runs that start together share one server.
    with _open_lock(prefect_home()) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = running_server()
        if running is not None:
            return running
        record = _read_record()
        if record is not None and _ask_for_settings(record["api_url"], None):
            # Of an earlier version: any web page could have it run code.
            stop_server()
        return _start_server()


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


def _open_lock(home: Path) -> TextIO:
    """Open the file that a process locks while it starts the server."""
    try:
        # The parent of Prefect's home must exist, or its server fails.
        home.mkdir(
            parents=True,
            exist_ok=True,
        )
        return (home / "themis-server.lock").open("w")
    except OSError as error:
        raise ThemisError(
            f"Prefect's home {str(home)!r} cannot be written: {error.strerror}; name "
            "another folder in PREFECT_HOME"
        ) from None


def _start_server() -> str:
    """Start the server and return its API address."""
    home = prefect_home()
    # Another program may take the port meanwhile: the second try finds it taken.
    for _ in range(2):
        port = free_port()
        process = launch_server(home, port)
        _STARTED.append(process)
        api_url = api_url_at(port)
        record = {"pid": str(process.pid), "api_url": api_url}
        _record_path().write_text(json.dumps(record))
        try:
            deadline = time.monotonic() + _START_TIMEOUT_S
            while process.poll() is None and time.monotonic() < deadline:
                if _ask_for_settings(api_url, read_password(home)) is not None:
                    return api_url
                time.sleep(_POLL_INTERVAL_S)
        except BaseException:
            # A Ctrl-C while it starts leaves nothing behind.
            stop_server()
            raise
        stop_server()
    raise ThemisError(
        f"the local Prefect server did not start; its log is {log_path(home)}"
    )


def _record_path() -> Path:
    return prefect_home() / "themis-server.json"


def _read_record() -> dict[str, str] | None:
    try:
        record: dict[str, str] = json.loads(_record_path().read_text())
        return record
    except (OSError, ValueError):
        return None


def _ask_for_settings(
    api_url: str,
    password: str | None,
) -> dict[str, Any] | None:
    """Return the settings of the server at an address, or `None` if it is not ours."""
    request = urllib.request.Request(f"{api_url}/admin/settings")
    # Without the environment's proxies, which have no business with the password.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    if password is not None:
        token = base64.b64encode(password.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with opener.open(request, timeout=_ANSWER_TIMEOUT_S) as response:
            settings: dict[str, Any] = json.load(response)
            # A record may be older than its server's end, and another have its port.
            is_ours = Path(settings["home"]) == prefect_home()
            return settings if is_ours else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
    is_server = any(command in listing.stdout for command in _COMMANDS)
    return is_server and not is_defunct


@app.command()
def start() -> None:
    """Start the server, unless it is running."""
    try:
        _print_address(ensure_server())
    except ThemisError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def stop() -> None:
    """Stop the server; runs that it knows of go on from their stores later."""
    typer.echo("stopped" if stop_server() else "no local server was running")


@app.command()
def status() -> None:
    """Print the address of the server, if it is running."""
    address = running_server()
    if address is None:
        typer.echo("no local server is running")
    else:
        _print_address(address)


@app.command()
def password() -> None:
    """Print the password that the server's pages ask a browser for, once."""
    known = read_password(prefect_home())
    if known is None:
        typer.echo("no local server was started yet", err=True)
        raise typer.Exit(1)
    typer.echo(known)


def _print_address(api_url: str) -> None:
    typer.echo(f"Its pages ask once for the password: {login_command()}")
    typer.echo(f"Prefect server at {api_url.removesuffix('/api')}")


if __name__ == "__main__":
    app()
