"""Files in a folder, also on a network: written whole, created once, and locked where
the filesystem has locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

#: What a filesystem without locks answers; some network folders have none.
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
    """Write a file unless there is one, whole or not at all; returns whether this call
    wrote it.
    """
    if target.exists():
        return False
    temporary = _temporary_path(target)
    temporary.write_bytes(content)
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:  # a filesystem without hard links
        temporary.replace(target)
        return True
    finally:
        temporary.unlink(missing_ok=True)
    return True


def replace_file(
    target: Path,
    content: bytes,
) -> None:
    """Write a file, whole or not at all, over whatever is there."""
    temporary = _temporary_path(target)
    temporary.write_bytes(content)
    temporary.replace(target)


def has_locks(folder: Path) -> bool:
    """Whether the filesystem of a folder, which is made if it is not there, can lock
    files.
    """
    folder.mkdir(
        parents=True,
        exist_ok=True,
    )
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
    """Lock an open file, as `flock` does; false where the filesystem has no locks.

    Raises `BlockingIOError` when it is locked and `how` says not to wait.
    """
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            return False
        raise
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is not there; where there are no
    locks, hold none.
    """
    path.parent.mkdir(
        parents=True,
        exist_ok=True,
    )
    with path.open("w") as file:
        lock(file.fileno(), fcntl.LOCK_EX)
        yield


def _temporary_path(target: Path) -> Path:
    target.parent.mkdir(
        parents=True,
        exist_ok=True,
    )
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
