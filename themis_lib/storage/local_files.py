"""Files in a folder, also on a network: created once, written whole, and locked.

Where the filesystem has no locks, nothing is locked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

#: The errors of filesystems without locks, as some network folders are.
_WITHOUT_LOCKS = {
    errno.ENOLCK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
}


def create_file(
    target: Path,
    content: bytes,
) -> bool:
    """Write a file unless there is one, and return whether this call wrote it.

    The file is written whole or not at all.
    """
    if target.exists():
        return False
    temporary = _temporary_path(target)
    temporary.write_bytes(content)
    try:
        # A link, not a rename: a rename would replace what another process created.
        os.link(temporary, target)
    except FileExistsError:
        return False
    # A filesystem without hard links: of two writers at once, the last one wins.
    except OSError:
        temporary.replace(target)
        return True
    finally:
        temporary.unlink(missing_ok=True)
    return True


def replace_file(
    target: Path,
    content: bytes,
) -> None:
    """Write a file, whole or not at all, in place of one that may be there."""
    temporary = _temporary_path(target)
    temporary.write_bytes(content)
    temporary.replace(target)


def has_locks(folder: Path) -> bool:
    """Return whether the filesystem of a folder can lock files.

    A missing folder is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Nothing but trying tells: the same type of mount may come with and without locks.
    probe = folder / f".lock-{uuid.uuid4().hex}"
    try:
        with probe.open("wb") as file:
            return lock(file.fileno(), fcntl.LOCK_EX)
    finally:
        probe.unlink(missing_ok=True)


def lock(
    file: int,
    how: int,
) -> bool:
    """Lock an open file as `flock` does, and return whether the filesystem has locks.

    Raises `BlockingIOError` if another process holds the lock and `how` is not to wait.
    """
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            return False
        raise
    return True


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    waiting: bool = True,
) -> Iterator[None]:
    """Hold the lock of a file inside the `with`; a missing file is made.

    On a filesystem without locks, hold none. Raise `BlockingIOError` if the lock is
    held by another and this is not to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Closing the file frees the lock; so does the end of a process that died.
    with path.open("w") as file:
        lock(file.fileno(), fcntl.LOCK_EX if waiting else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _temporary_path(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename across filesystems is not atomic.
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
