"""Files that code opens for reading while it is watched.

Python tells of every file that is opened (an audit event). What libraries read of their
own, and what the same process has written, is left out.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from themis_lib.identity.file_state import FileState, state_or_none
from themis_lib.identity.user_code import is_user_file

#: Of the operating system: what is read there is no data of a user.
_SYSTEM = ("/proc/", "/sys/", "/dev/")
_WRITING = os.O_WRONLY | os.O_RDWR


class Watch:
    """The files that a piece of code has opened for reading, as absolute paths.

    `is_left_out` says which files are none of its business, such as those of the store.
    """

    def __init__(self, is_left_out: Callable[[str], bool]) -> None:
        self._is_left_out = is_left_out
        self._seen: dict[str, FileState | None] = {}
        self._new: list[tuple[str, FileState | None]] = []
        self._lock = threading.Lock()

    def take_new(self) -> list[tuple[str, FileState | None]]:
        """Return the files that were opened since the last call.

        Each with its state when it was opened, `None` if it was not there; again if it
        is opened in another state.
        """
        if not self._new:
            return []
        with self._lock:
            new, self._new = self._new, []
        return new

    def note(self, path: str) -> None:
        """Note a file that is opened for reading, unless it is of no account."""
        if path in _WRITTEN or path.startswith(_SYSTEM) or self._is_left_out(path):
            return
        if path.endswith(".pyc"):
            # The module's source is what people edit.
            path = importlib.util.source_from_cache(path)
        if not is_user_file(path):
            return
        state = state_or_none(path)
        if path in self._seen and self._seen[path] == state:
            return
        with self._lock:
            self._seen[path] = state
            self._new.append((path, state))


# Process-wide, as an audit hook is: files that this process wrote while watched.
_WRITTEN: set[str] = set()
_WATCHED: ContextVar[Watch | None] = ContextVar("watched", default=None)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Note the files that this context opens for reading, for a block."""
    _install_hook()
    token = _WATCHED.set(watch)
    try:
        yield
    finally:
        _WATCHED.reset(token)


@contextmanager
def not_watching() -> Iterator[None]:
    """Note nothing for a block inside a watched one."""
    token = _WATCHED.set(None)
    try:
        yield
    finally:
        _WATCHED.reset(token)


_HOOK_LOCK = threading.Lock()
_is_installed = False


def _install_hook() -> None:
    global _is_installed
    with _HOOK_LOCK:
        if not _is_installed:
            sys.addaudithook(_on_event)
            _is_installed = True


def _on_event(event: str, arguments: tuple[object, ...]) -> None:
    # Called for every event of the interpreter: most leave here.
    if event != "open":
        return
    watch = _WATCHED.get()
    if watch is None:
        return
    path, mode, flags = arguments
    if isinstance(path, int) or path is None:
        return
    text = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
    is_writing = (isinstance(flags, int) and bool(flags & _WRITING)) or (
        isinstance(mode, str) and bool(set(mode) & set("wax+"))
    )
    if is_writing:
        _WRITTEN.add(text)
    else:
        watch.note(text)
