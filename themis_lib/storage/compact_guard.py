"""A file that keeps versions without parts of runs from compacting a store.

To these a run has copies of its rows, so that they remove parts that runs refer to. Their
`compact` opens whatever is below `rows/` as a folder, the oldest first: at this file it
stops with an error that names it, before it removes anything.
"""

from __future__ import annotations

import contextlib
import os

from themis_lib.storage.store import RunStore

GUARD = "rows/update-themis-flows-to-compact-this-store"
_TEXT = (
    b"Runs refer to the files beside this one. Earlier versions would remove some.\n"
)
#: Seconds since 1970; 0 would be taken for a time that nobody knows.
_OLDEST_S = 1


def guard_parts(store: RunStore) -> None:
    """Keep earlier versions from compacting a store on this disk.

    Elsewhere nothing can: no filesystem of objects refuses to open a file as a folder.
    """
    if store.local:
        store.create(GUARD, _TEXT)
        # Each time: a copy of the store has other times. It may belong to someone else.
        with contextlib.suppress(PermissionError):
            os.utime(store.locate(GUARD), (_OLDEST_S, _OLDEST_S))
