"""How the local Prefect server is started: its command, port and settings."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from flows.server_password import ensure_password
from themis_lib.errors import ThemisError

#: The only address that the local server listens on.
LOOPBACK = "127.0.0.1"
#: The names under which it answers.
OWN_NAMES = (LOOPBACK, "localhost")
# Prefect's own default, where people look for its pages.
_FIRST_PORT = 4200
_HERE = Path(__file__).parent


def launch_server(
    home: Path,
    port: int,
) -> subprocess.Popen[bytes]:
    """Start the server of a home on a port; its log is `log_path(home)`."""
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        # In the environment, not in the command, which every user of the machine sees.
        "PREFECT_SERVER_API_AUTH_STRING": ensure_password(home),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(own_origins(port)),
        # With a port other than 4200 the pages do not find the API by themselves.
        "PREFECT_UI_API_URL": api_url_at(port),
        # For the links in notifications.
        "PREFECT_UI_URL": own_origins(port)[0],
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    # A server must not be the client of another one.
    environment.pop("PREFECT_API_URL", None)
    command = [
        sys.executable,
        "-m",
        "flows.guarded_server",
        str(port),
    ]
    with log_path(home).open("ab") as output:
        return subprocess.Popen(
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


def api_url_at(port: int) -> str:
    """Return the API address of a local server."""
    return f"{own_origins(port)[0]}/api"


def own_origins(port: int) -> list[str]:
    """Return the origins of a local server's own pages, the one to use first.

    >>> own_origins(4200)
    ['http://127.0.0.1:4200', 'http://localhost:4200']
    """
    return [f"http://{name}:{port}" for name in OWN_NAMES]


def settings_directory() -> Path:
    """Return the folder of `prefect.toml`.

    A wheel has it beside this module, a checkout above it.
    """
    for place in (_HERE, _HERE.parent):
        if (place / "prefect.toml").exists():
            return place
    return _HERE


def log_path(home: Path) -> Path:
    """Return the log of the server of a home."""
    return home / "themis-server.log"


def free_port() -> int:
    """Return a free port on loopback: 4200 where it is free, else any."""
    for port in (_FIRST_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            # As the server itself: one that has just ended leaves its port free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise ThemisError("no free port for a local Prefect server")
