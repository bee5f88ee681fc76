"""State of a file: what tells one content of a path from another without reading it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

#: Nanoseconds. Two writes within the coarsest clock tick of a filesystem (FAT: 2 s) have
#: one time of modification.
_COARSEST_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class FileState:
    """The size of a file, its times and its inode.

    `ctime_ns` also changes where a program sets the time of modification back.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileState:
        """Return the state of a file now. Raise `OSError` if there is none."""
        # Not by a `Path`: this is called for each file that a component opens.
        found = os.stat(path)  # noqa: PTH116
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def is_settled(self) -> bool:
        """Return whether a change from now on would show in the state."""
        newest = max(self.mtime_ns, self.ctime_ns)
        # The absolute value, because a clock that was set back makes files of the future.
        return abs(time.time_ns() - newest) > _COARSEST_TICK_NS


def state_or_none(path: str | os.PathLike[str]) -> FileState | None:
    """Return the state of a file now, or `None` if there is none."""
    try:
        return FileState.of(path)
    except OSError:
        return None
