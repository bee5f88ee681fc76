"""Files that code opens for reading while it is watched.

Python tells of every file that is opened (an audit event), of databases and shared
libraries, and of programs that are started: what their command names is read. What
libraries read of their own, and what the same process has written, is left out. Of a
folder that user code lists, the names of its files are read; it ends in a slash. Of an
environment variable that user code looks up, `env:NAME`.

What a module reads while it is imported is noted with the content that it had: the
module computes with that until it is imported anew, whatever becomes of the file.
"""

from __future__ import annotations

import dis
import functools
import importlib.util
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

from themis_lib.identity.contents import content_of
from themis_lib.identity.file_state import FileState, state_or_none
from themis_lib.identity.user_code import is_user_file, is_user_module

#: Of the operating system: what is read there is no data of a user.
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/")
#: Files of credentials: what they set is seen where it is used.
_CREDENTIALS = (".env", ".netrc", ".pypirc")
_CODE = (".py", ".pyc")
#: Modules that list folders to find or remove what is no data.
_HOUSEKEEPING = {
    "_frozen_importlib_external",
    "importlib",
    "pkgutil",
    "shutil",
    "tempfile",
    "zipimport",
}
#: Begins the name of an environment variable.
VARIABLE = "env:"
#: Where the standard library looks a variable up for its caller.
_ENVIRONMENT_MODULES = {"os", "collections.abc", os.path.__name__}
#: What goes through all variables there.
_COPYING = {"__iter__", "__or__", "__ror__", "copy"}
_WRITING = os.O_WRONLY | os.O_RDWR


class Watch:
    """The files that a piece of code has opened for reading, as absolute paths, and the
    environment variables that it has looked up.

    `is_left_out` says which files are none of its business, such as those of the store.
    """

    def __init__(self, is_left_out: Callable[[str], bool]) -> None:
        self._is_left_out = is_left_out
        #: The watch of the block around, which sees the same.
        self.outer: Watch | None = None
        self._seen: dict[str, FileState | None] = {}
        self._new: list[tuple[str, FileState | None]] = []
        self._lock = threading.Lock()

    def take_new(self) -> list[tuple[str, FileState | None]]:
        """Return the files that were opened since the last call.

        Each with its state when it was opened, `None` if it was not there; again if it
        is opened in another state. What the process has written since is left out.
        """
        if not self._new:
            return []
        with self._lock:
            new, self._new = self._new, []
        return [
            (path, state)
            for path, state in new
            if path not in _WRITTEN and not _is_changed_here(path, state)
        ]

    def note(self, path: str) -> None:
        """Note a file that is opened for reading, unless it is of no account."""
        if self.outer is not None:
            self.outer.note(path)
        if not self._counts(path):
            return
        if path.endswith(".pyc"):
            # The module's source is what people edit.
            path = importlib.util.source_from_cache(path)
        # A listing has no state: files may be added that it does not show.
        state = None if path.endswith("/") else state_or_none(path)
        if path in self._seen and self._seen[path] == state:
            return
        with self._lock:
            self._seen[path] = state
            self._new.append((path, state))

    def note_variable(self, name: str) -> None:
        """Note an environment variable that is looked up."""
        if self.outer is not None:
            self.outer.note_variable(name)
        name = f"{VARIABLE}{name}"
        if name not in self._seen:
            with self._lock:
                self._seen[name] = None
                self._new.append((name, None))

    def _counts(self, path: str) -> bool:
        if path in self._seen:
            return path not in _WRITTEN
        if _is_of_no_account(path) or self._is_left_out(path):
            return False
        place = Path(path)
        is_own = not _WRITTEN.isdisjoint(map(str, [place, *place.parents]))
        return not is_own and is_user_file(path)


def _is_of_no_account(path: str) -> bool:
    name = path.rpartition("/")[2]
    return path.startswith(_SYSTEM) or name.startswith(_CREDENTIALS)


def _is_changed_here(path: str, state: FileState | None) -> bool:
    """Return whether a file that was opened to be changed, as a cache is, has been."""
    return path in _CHANGEABLE and state_or_none(path) != state


# Process-wide, as an audit hook is: files that this process wrote while watched, and
# those that it opened to read and change, such as databases.
_WRITTEN: set[str] = set()
_CHANGEABLE: set[str] = set()
# Process-wide, as modules are: what each one read while it was imported, with the
# content that it read.
_READ_AT_IMPORT: defaultdict[str, dict[str, str]] = defaultdict(dict)
#: Stands for a block that is not watched inside one that is.
_NOTHING = Watch(lambda _: True)
_WATCHED: ContextVar[Watch | None] = ContextVar("watched", default=None)
# Process-wide, as threads are: those that watched code started, such as those of a
# pool, and every watch that is under way. A pool outlives the block that made it.
_STARTED: WeakSet[threading.Thread] = WeakSet()
_ACTIVE: list[Watch] = []


@contextmanager
def reading(files: dict[str, str]) -> Iterator[None]:
    """Put the files that a block reads, with their contents, into a mapping.

    Code that the block imports is none of them.
    """
    watch = Watch(lambda path: path.endswith(_CODE))
    with watching(watch):
        yield
    with not_watching():
        files.update((path, content_of(path)) for path, _ in watch.take_new())


def read_at_import(modules: Iterable[str]) -> dict[str, str]:
    """Return the files that modules read while they were imported, with the contents."""
    files: dict[str, str] = {}
    for module in modules:
        files.update(_READ_AT_IMPORT.get(module, {}))
    return files


def note_again(names: Iterable[str]) -> None:
    """Note files and `env:NAME` for the block around, as if they were read now."""
    watch = _WATCHED.get()
    if watch is None:
        return
    for name in names:
        if name.startswith(VARIABLE):
            watch.note_variable(name.removeprefix(VARIABLE))
        else:
            watch.note(name)


@contextmanager
def watching(
    watch: Watch,
    *,
    is_inner: bool = False,
) -> Iterator[None]:
    """Note the files that this context opens for reading, for a block.

    With `is_inner`, the watch of the block around notes them too.
    """
    _install_hook()
    if is_inner:
        watch.outer = _WATCHED.get()
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
    token = _WATCHED.set(_NOTHING)
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
            _follow_threads()
            _follow_pools()
            _follow_variables()
            _is_installed = True


def _follow_variables() -> None:
    """Have `os.environ` tell of the variables that user code looks up.

    Every look-up of a name encodes it. Code that goes through all variables decodes the
    name before it: that it hands on the environment, say to a program, is no look-up.
    """
    environment: Any = os.environ
    encode, decode = environment.encodekey, environment.decodekey
    decoded: defaultdict[int, set[str]] = defaultdict(set)

    def encode_and_note(name: Any) -> Any:
        frame = sys._getframe(1)
        met = decoded[threading.get_ident()]
        is_handed_on = name in met and _is_copied(frame)
        met.discard(name)
        if isinstance(name, str) and not is_handed_on and _is_looked_up(frame):
            for watch in _watches():
                watch.note_variable(name)
        return encode(name)

    def decode_and_keep(key: Any) -> Any:
        name = decode(key)
        decoded[threading.get_ident()].add(name)
        return name

    environment.encodekey = encode_and_note
    environment.decodekey = decode_and_keep


def _is_copied(frame: FrameType) -> bool:
    """Return whether no code names the variable: a whole environment is copied."""
    around = frame.f_back
    if around is None:
        return True
    code = around.f_code
    if around.f_globals.get("__name__") in _ENVIRONMENT_MODULES:
        return code.co_name in _COPYING
    # `dict(os.environ)` is a call, `os.environ[name]` is none.
    return not dis.opname[code.co_code[around.f_lasti]].startswith("BINARY_")


def _is_looked_up(frame: FrameType | None) -> bool:
    """Return whether user code looks a variable up, and sets none."""
    if frame is None or frame.f_code.co_name != "__getitem__" or not _ACTIVE:
        return False
    name = "os"
    while frame is not None and name in _ENVIRONMENT_MODULES:
        frame = frame.f_back
        name = str(frame.f_globals.get("__name__")) if frame is not None else ""
    return is_user_module(name)


def _follow_threads() -> None:
    """Note the threads that watched code starts, of which Python tells nothing."""
    start = threading.Thread.start

    @functools.wraps(start)
    def noted_start(thread: threading.Thread) -> None:
        if _watches():
            _STARTED.add(thread)
        start(thread)

    threading.Thread.start = noted_start  # type: ignore[assignment, method-assign]


def _follow_pools() -> None:
    """Have a thread that was idle in a pool work for the watch of who gave it work."""
    submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def watched_submit(
        pool: ThreadPoolExecutor,
        function: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Future[Any]:
        watch = _WATCHED.get()
        if watch is None:
            return submit(pool, function, *args, **kwargs)
        return submit(pool, _call_watched, watch, function, *args, **kwargs)

    ThreadPoolExecutor.submit = watched_submit  # type: ignore[assignment, method-assign]


def _call_watched(
    watch: Watch,
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    token = _WATCHED.set(watch)
    try:
        return function(*args, **kwargs)
    finally:
        _WATCHED.reset(token)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every event of the interpreter: most leave here.
    note = _NOTES.get(event)
    if note is None or _WATCHED.get() is _NOTHING:
        return
    # Anyone may raise an event of this name, with what they like; what no path can be
    # is no file, and what is raised here would fail the opening.
    with suppress(TypeError, ValueError, OSError):
        note(*arguments)


def _note_opening(path: Any, mode: Any, flags: Any) -> None:
    if isinstance(path, int) or path is None:
        return
    if not isinstance(flags, int):
        flags = 0
    if not _is_writing(mode, flags):
        _note(path)
    elif not os.path.lexists(path):
        _note(path, is_writing=True)
    elif flags & os.O_EXCL:
        # It is there already: the opening fails.
        return
    elif flags & os.O_RDWR and not flags & os.O_TRUNC:
        _note_changeable(path)
    else:
        _note(path, is_writing=True)


def _is_writing(mode: Any, flags: int) -> bool:
    is_writing_mode = isinstance(mode, str) and bool(set(mode) & set("wax+"))
    return is_writing_mode or bool(flags & _WRITING)


def _note_new_folder(path: Any, *_: Any) -> None:
    # `exist_ok` tries to make a folder that is there: what is in it is no work of ours.
    if not os.path.lexists(path):
        _note(path, is_writing=True)


def _note_listing(path: Any) -> None:
    if not isinstance(path, int) and _is_user_listing():
        _note(path or ".", suffix="/")


def _note_program(program: Any, command: Any, *_: Any) -> None:
    words = [command] if isinstance(command, (str, bytes)) else list(command or ())
    for word in [program, *words]:
        _note_if_file(word)


def _note_if_file(path: Any, *_: Any) -> None:
    """Note what may name a file: a program, a word of its command, a database."""
    # Of a text that can be no path, `Path.is_file` would raise.
    if isinstance(path, (str, bytes, os.PathLike)) and os.path.isfile(path):  # noqa: PTH113
        _note(path)


def _note_database(path: Any, *_: Any) -> None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    text = os.fsdecode(path)
    if text.startswith("file:"):
        # A URI, with or without a host: https://www.sqlite.org/uri.html.
        text = unquote(urlsplit(text).path)
    if os.path.isfile(text):  # noqa: PTH113
        _note_changeable(text)


def _note_changeable(path: Any) -> None:
    """Note a file that is opened to be read, and may be changed by who opened it."""
    _CHANGEABLE.add(os.path.realpath(os.fsdecode(path)))
    _note(path)


#: What is noted of an event, by its name.
_NOTES: Mapping[str, Callable[..., None]] = {
    "ctypes.dlopen": _note_if_file,
    "open": _note_opening,
    "os.listdir": _note_listing,
    "os.mkdir": _note_new_folder,
    "os.scandir": _note_listing,
    "sqlite3.connect": _note_database,
    "subprocess.Popen": _note_program,
}


def _note(path: Any, *, is_writing: bool = False, suffix: str = "") -> None:
    watches = _watches()
    modules = [] if is_writing else _modules_being_imported()
    if not watches and not modules:
        return
    text = os.path.realpath(os.fsdecode(path)) + suffix
    if is_writing:
        _WRITTEN.add(text)
        return
    if modules and not text.endswith(_CODE) and text not in _WRITTEN:
        _note_import(modules, text)
    for watch in watches:
        watch.note(text)


def _is_user_listing() -> bool:
    """Return whether user code lists a folder, and no import or tidying does."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        top = name.partition(".")[0]
        if top in _HOUSEKEEPING:
            return False
        if name != __name__ and top not in sys.stdlib_module_names:
            return is_user_module(name)
        frame = frame.f_back
    return False


def _watches() -> list[Watch]:
    """Return the watches that what happens in this thread belongs to."""
    watch = _WATCHED.get()
    if watch in _ACTIVE:
        return [watch]
    # The thread of a pool may work for any component, and outlives what started it.
    is_started = bool(_STARTED) and threading.current_thread() in _STARTED
    return [*_ACTIVE] if is_started or watch is not None else []


def _modules_being_imported() -> list[str]:
    """Return the modules of user code whose import is under way in this thread."""
    modules = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            name = str(frame.f_globals.get("__name__"))
            if _is_being_imported(name) and is_user_module(name):
                modules.append(name)
        frame = frame.f_back
    return modules


def _is_being_imported(name: str) -> bool:
    # A script, too, runs at the level of its module: as long as it lasts.
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _note_import(modules: list[str], path: str) -> None:
    if _is_of_no_account(path) or not is_user_file(path):
        return
    with not_watching():
        content = content_of(path)
    for module in modules:
        _READ_AT_IMPORT[module][path] = content
