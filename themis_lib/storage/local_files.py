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

from themis_lib.errors import DiskFullError

#: A full disk, a full quota, and a file as large as the process may write.
_WITHOUT_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
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
    try:
        _write(temporary, content, target)
        return _give_name(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(
    target: Path,
    content: bytes,
) -> None:
    """Write a file, whole or not at all, in place of one that may be there."""
    temporary = _temporary_path(target)
    try:
        _write(temporary, content, target)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def overwrite_file(
    target: Path,
    content: bytes,
) -> None:
    """Write a file into the place of a longer one, which takes no room of the disk.

    Raise `DiskFullError` if the file that is there is shorter.
    """
    with target.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size < len(content):
            raise _no_room(target, len(content))
        # In one call: a reader finds the one content or the other.
        os.pwrite(file.fileno(), content, 0)
        file.truncate(len(content))


def room_error(
    error: OSError,
    path: Path,
    size: int,
) -> OSError | DiskFullError:
    """Return what a failed write is for people: where the disk is full, what was not
    written, and how much it was; else the error itself.
    """
    return _no_room(path, size) if error.errno in _WITHOUT_ROOM else error


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


def _give_name(
    temporary: Path,
    target: Path,
) -> bool:
    """Give a whole file its name unless another has it; return whether it has it now."""
    try:
        # A link, not a rename: a rename would replace what another process created.
        os.link(temporary, target)
    except FileExistsError:
        return False
    # A filesystem without hard links: of two writers at once, the last one wins.
    except OSError:
        temporary.replace(target)
    return True


def _write(
    temporary: Path,
    content: bytes,
    target: Path,
) -> None:
    try:
        temporary.write_bytes(content)
    except OSError as error:
        raise room_error(error, target, len(content)) from None


def _no_room(
    path: Path,
    size: int,
) -> DiskFullError:
    return DiskFullError(
        f"{path}: no room on the disk for {size:,} bytes; finished rows are saved. "
        "Make room and run again"
    )


def _temporary_path(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename across filesystems is not atomic.
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
