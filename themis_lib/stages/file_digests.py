"""Digests of files by their content, each read once until its size or time changes.

The digest of a large file outlives the process: this machine remembers it, with the
state that the file had (`engine.places`).
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from themis_lib.engine.places import recall, remember
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import digest
from themis_lib.identity.file_state import FileState
from themis_lib.identity.watch import not_watching

#: Bytes. A smaller file is read in less time than a remembered digest is worth.
_LARGE = 16 * 2**20
_FACT = "file-digest"

# Process-wide: digests of files by path, with the state that they had.
_DIGESTS: dict[str, tuple[FileState, str]] = {}


def file_digest(path: str, salt: str) -> str:
    """Return the digest of a file, of the files of a folder, or of there being none."""
    place = Path(path)
    try:
        if place.is_dir():
            inside = sorted(item for item in place.rglob("*") if item.is_file())
            parts = [
                [str(item.relative_to(place)), content_digest(item)] for item in inside
            ]
            return digest("folder", [salt, parts])
        return digest("file", [salt, content_digest(place)])
    except OSError:
        return digest("file", [salt, None])


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content; raise `OSError` if it cannot be read.

    A file is read again if its state has changed, or did so less than a clock tick
    before it was read: then another change might not show.
    """
    state = FileState.of(path)
    known = _DIGESTS.get(str(path))
    if known is not None and known[0] == state:
        return known[1]
    with not_watching():
        content = _recall_digest(path, state)
        if content is not None:
            _DIGESTS[str(path)] = (state, content)
            return content
        # Before the file is read: what is written meanwhile must show, too.
        is_settled = state.is_settled()
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        if is_settled and FileState.of(path) == state:
            _DIGESTS[str(path)] = (state, content)
            _remember_digest(path, state, content)
    return content


def _recall_digest(path: Path, state: FileState) -> str | None:
    if state.size < _LARGE:
        return None
    # Without a home there is nothing to remember in: the file is read.
    with suppress(ConfigError):
        fact: Any = recall(_FACT, _fact_key(path))
        if fact is not None and fact.get("state") == asdict(state):
            return str(fact["sha256"])
    return None


def _remember_digest(path: Path, state: FileState, content: str) -> None:
    if state.size < _LARGE:
        return
    with suppress(ConfigError):
        remember(_FACT, _fact_key(path), {"state": asdict(state), "sha256": content})


def _fact_key(path: Path) -> str:
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
