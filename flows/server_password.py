"""The password of the local Prefect server: one for each home, readable by its owner.

Without it every program and web page on the machine could have the server run code.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

# Basic authentication needs a name before the colon; Prefect compares the whole.
_USER = "themis"
_BYTES = 32
_OWNER_ONLY = 0o600


def read_password(home: Path) -> str | None:
    """Return the password of the server of a home, or `None` if it has none yet."""
    try:
        return _path(home).read_text().strip() or None
    except FileNotFoundError:
        return None


def ensure_password(home: Path) -> str:
    """Return the password of the server of a home, made if it has none yet.

    It outlives the server, so that a browser that knows it need not be told again.
    One process at a time may call this.
    """
    path = _path(home)
    password = read_password(home)
    if password is None:
        password = f"{_USER}:{secrets.token_urlsafe(_BYTES)}"
        # Closed to others from the start, and never seen half written.
        descriptor, unfinished = tempfile.mkstemp(dir=home, prefix=path.name)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{password}\n")
        Path(unfinished).replace(path)
    path.chmod(_OWNER_ONLY)
    return password


def _path(home: Path) -> Path:
    return home / "themis-server.password"
