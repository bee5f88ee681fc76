"""Files that code opens, and folders that it lists, while it is watched.

Python tells of every file that is opened (an audit event). A thread that the code has
started is watched, too. What libraries read of their own, and what the same process has
written, is left out.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

from themis_lib.identity.digests import digest
from themis_lib.identity.user_code import is_user_file

#: Of the operating system: what is read there is no data of a user.
_SYSTEM = ("/proc/", "/sys/", "/dev/")
_WRITING = os.O_WRONLY | os.O_RDWR
#: Ends the name of a folder whose list of files was read, and not the files in it.
LISTED = "/*"
#: Events of lists of folders. Python itself lists folders to find modules.
_LISTS = {"os.listdir", "os.scandir"}
#: What opens files in threads of its own while components compute.
_RUNNING = {"themis_lib", "tasks", "flows", "deployments", "prefect"}


class Watch:
    """The files that a piece of code has opened for reading, as absolute paths.

    `is_left_out` says which files are none of its business, such as those of the store.
    """

    def __init__(self, is_left_out: Callable[[str], bool]) -> None:
        self._is_left_out = is_left_out
        self._seen: set[str] = set()
        self._new: list[str] = []
        self._lock = threading.Lock()

    def take_new(self) -> list[str]:
        """Return the files that were opened since the last call."""
        if not self._new:
            return []
        with self._lock:
            new, self._new = self._new, []
        return new

    def note(self, path: str) -> None:
        """Note a file that is opened for reading, unless it is of no account."""
        if path in self._seen:
            return
        self._seen.add(path)
        if path in _WRITTEN or path.startswith(_SYSTEM) or self._is_left_out(path):
            return
        if path.endswith(".pyc"):
            # The module's source is what people edit.
            path = importlib.util.source_from_cache(path)
        if is_user_file(path):
            with self._lock:
                self._new.append(path)


# Process-wide, as an audit hook is: files that this process wrote while watched.
_WRITTEN: set[str] = set()
_WATCHED: ContextVar[object] = ContextVar("watched")
_ACTIVE: list[Watch] = []
_ANY = object()


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Note the files that this context opens for reading, for a block."""
    _install_hook()
    token = _WATCHED.set(watch)
    _ACTIVE.append(watch)
    try:
        yield
    finally:
        _ACTIVE.remove(watch)
        _WATCHED.reset(token)


@contextmanager
def not_watching() -> Iterator[None]:
    """Note nothing for a block inside a watched one."""
    token = _WATCHED.set(None)
    try:
        yield
    finally:
        _WATCHED.reset(token)


def file_digest(path: str, salt: str) -> str:
    """Return the digest of a file, of the files of a folder, or of there being none.

    A name that ends in `LISTED` stands for the names in a folder. A file is read again
    only if its size or its time has changed.
    """
    place = Path(path)
    try:
        if path.endswith(LISTED):
            return digest("list", [salt, _names_in(path.removesuffix(LISTED))])
        if place.is_dir():
            inside = sorted(item for item in place.rglob("*") if item.is_file())
            parts = [[str(item.relative_to(place)), _content(item)] for item in inside]
            return digest("folder", [salt, parts])
        return digest("file", [salt, _content(place)])
    except OSError:
        return digest("file", [salt, None])


def variable_digest(name: str, salt: str) -> str:
    """Return the digest of an environment variable, or of there being none."""
    return digest("variable", [salt, os.environ.get(name)])


# Process-wide: digests of files by path, with the size and time that they had.
_CONTENTS: dict[str, tuple[tuple[int, int, int], str]] = {}


def _content(path: Path) -> str:
    import hashlib

    stat = path.stat()
    state = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    known = _CONTENTS.get(str(path))
    if known is not None and known[0] == state:
        return known[1]
    with not_watching(), path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    _CONTENTS[str(path)] = (state, content)
    return content


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
    if event == "open":
        _on_open(*arguments)
    elif event in _LISTS or event == "sqlite3.connect":
        _on_read(event, arguments[0])
    elif event == "os.mkdir":
        _on_open(arguments[0], "w", 0)


def _on_open(path: object, mode: object, flags: object) -> None:
    watches = _watches()
    if not watches or isinstance(path, int) or path is None:
        return
    text = _absolute(path)
    is_writing = (isinstance(flags, int) and bool(flags & _WRITING)) or (
        isinstance(mode, str) and bool(set(mode) & set("wax+"))
    )
    if is_writing:
        _WRITTEN.add(text)
        return
    for watch in watches:
        watch.note(text)


def _on_read(event: str, path: object) -> None:
    """Note a folder whose files are listed, or a database that is opened."""
    watches = _watches()
    if not watches or isinstance(path, int):
        return
    text = _absolute(path or ".")
    if event in _LISTS:
        if text in _WRITTEN or _is_import(sys._getframe(2)):
            return
        text += LISTED
    elif path in ("", b"", ":memory:", b":memory:"):
        return
    for watch in watches:
        watch.note(text)


def _watches() -> list[Watch]:
    """Return the watches on what the current context or thread does."""
    if not _ACTIVE:
        return []
    watch = _WATCHED.get(_ANY)
    if watch is None:
        return []
    if isinstance(watch, Watch) and watch in _ACTIVE:
        return [watch]
    # A thread begins without the context of the code that started it, and one of a pool
    # may work for any component.
    is_main = threading.current_thread() is threading.main_thread()
    return [] if is_main or _is_of_run(sys._getframe(3)) else list(_ACTIVE)


def _is_of_run(frame: FrameType | None) -> bool:
    """Return whether a thread works for the run itself and not for a component."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in _RUNNING:
            return True
        frame = frame.f_back
    return False


def _absolute(path: object) -> str:
    return os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]


def _is_import(frame: FrameType | None) -> bool:
    """Return whether it is the search for a module or a distribution that lists."""
    return frame is not None and "importlib" in frame.f_code.co_filename


def _names_in(folder: str) -> list[str]:
    # What Python and editors leave there is nothing to read.
    return sorted(
        name
        for name in os.listdir(folder)  # noqa: PTH208 - a listing that is watched
        if name != "__pycache__" and not name.startswith(".")
    )
