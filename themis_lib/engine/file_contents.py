"""Contents of large files, remembered on this machine with the state each file had."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from themis_lib.engine.places import recall, remember
from themis_lib.errors import ConfigError
from themis_lib.identity.contents import file_content
from themis_lib.identity.file_state import FileState

#: Bytes. A smaller file is read in less time than a remembered digest is worth.
_LARGE = 16 * 2**20
_FACT = "file-digest"


def remembered_content(path: Path) -> str:
    """Return the SHA-256 of a file's content; raise `OSError` if it cannot be read."""
    state = FileState.of(path)
    if state.size < _LARGE:
        return file_content(path)
    # Without a home there is nothing to remember in: the file is read.
    with suppress(ConfigError):
        fact: Any = recall(_FACT, _fact_key(path))
        if fact is not None and fact.get("state") == asdict(state):
            return str(fact["sha256"])
    is_settled = state.is_settled()
    content = file_content(path)
    if is_settled and FileState.of(path) == state:
        with suppress(ConfigError):
            fact = {"state": asdict(state), "sha256": content}
            remember(_FACT, _fact_key(path), fact)
    return content


def _fact_key(path: Path) -> str:
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
