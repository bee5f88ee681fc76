"""Addresses of reports on the local server: browsers open no file that a page links to.

An address names the file and is signed with the server's password, so that the server
keeps no list, and shows no other file.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from urllib.parse import urlencode

from prefect.settings import PREFECT_API_URL

from flows.server import password_of

#: The path under which the local server shows reports.
REPORTS = "/reports"


def report_address(page: str) -> str | None:
    """Return the address at which the local server shows a report.

    `None` where runs are recorded by another server, or the report is no local file.
    """
    api_url = PREFECT_API_URL.value()
    password = None if api_url is None else password_of(api_url)
    if password is None or "://" in page:
        return None
    path = str(Path(page).absolute())
    query = urlencode({"page": path, "signature": report_signature(path, password)})
    origin = str(api_url).rstrip("/").removesuffix("/api")
    return f"{origin}{REPORTS}?{query}"


def report_signature(
    path: str,
    password: str,
) -> str:
    """Return what only those can make who know the server's password."""
    return hmac.new(password.encode(), path.encode(), hashlib.sha256).hexdigest()
