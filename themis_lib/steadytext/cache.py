"""The generation cache: finished texts on disk, shared by all processes.

`disk` says what is evicted first, and what is trusted. Here is what keeps the cache from
ever failing a generation: whatever the disk does wrong costs one warning and the cache.

*Forks and threads.* One lock covers every access, and a fork waits for it; a forked
process opens the database anew.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from themis_lib.engine.build import INSTALL
from themis_lib.engine.places import cache_folder
from themis_lib.errors import ConfigError
from themis_lib.steadytext.disk import (
    BUSY_S,
    DATABASE,
    bytes_disk,
    check_lock,
    decode_entry,
    disk_errors,
    encode_entry,
    open_store,
)

DEFAULT_SIZE_LIMIT = 1 << 30
#: Seconds to go without the cache after waiting in vain for another process.
REST_S = 30.0
#: An entry of more than one part in this many of the limit is not kept: it would drive
#: out everything else.
_LARGEST_SHARE = 4
#: SQLite's primary result codes for content that is not what it should be: ERROR,
#: CORRUPT, MISMATCH, FORMAT, NOTADB.
_DAMAGE_CODES = frozenset(
    {
        1,
        11,
        20,
        24,
        26,
    }
)
_SWITCH = {
    "": True,
    "on": True,
    "1": True,
    "true": True,
    "off": False,
    "0": False,
    "false": False,
}

# Held for every use of a database, so that no fork comes in the middle of one.
_LOCK = threading.RLock()
# Process-wide: the text functions take no cache, and all calls with one folder and size
# should count against one limit.
_SHARED: dict[tuple[Path, int], TextCache] = {}
# Process-wide: after a fork each cache has to give up its parent's connection.
_CACHES: weakref.WeakSet[TextCache] = weakref.WeakSet()
#: Connections of the parent process: SQLite forbids a forked process to use them, or to
#: close them.
_INHERITED: list[Any] = []
_Result = TypeVar("_Result")


class TextCache:
    """Finished generations by key, in a folder used for nothing else.

    Safe for threads, forks and several processes. `size_limit` is in bytes and covers
    the database and its value files; 0 keeps nothing and touches no disk. Neither `get`
    nor `put` raises because of the disk: trouble is a miss, reported once by a
    `RuntimeWarning`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        size_limit: int = DEFAULT_SIZE_LIMIT,
    ) -> None:
        self.folder = folder
        self.size_limit = size_limit
        self._store: Any = None
        # Device and inode of the database that `_store` has open.
        self._opened: tuple[int, int] | None = None
        # On the monotonic clock; until then the cache is not used.
        self._resumes_at = 0.0
        self._has_warned = False
        _watch_forks()
        _CACHES.add(self)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the entry under a key and count a use of it.

        `None` if there is none, or it is damaged.
        """
        data = self._run_on_store(lambda store: store.get(key))
        return None if data is None else decode_entry(key, data)

    def put(
        self,
        key: str,
        entry: Mapping[str, Any],
    ) -> None:
        """Keep a JSON object under a key, and evict what exceeds the limit.

        An earlier entry is replaced. Objects have keys of text, tuples come back as
        lists; floats come back bit for bit, infinities included. Raises `TypeError` for
        what JSON cannot hold.
        """
        data = encode_entry(key, entry)
        if len(data) * _LARGEST_SHARE > self.size_limit:
            return

        def store_and_evict(store: Any) -> None:
            store.set(key, data)
            store.cull()

        self._run_on_store(store_and_evict)

    def close(self) -> None:
        """Close this thread's connection; the next call opens it again."""
        with _LOCK:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _run_on_store(self, operation: Callable[[Any], _Result]) -> _Result | None:
        """Return what the operation returns, or `None` if the cache cannot be used."""
        with _LOCK:
            if self.size_limit <= 0 or time.monotonic() < self._resumes_at:
                return None
            try:
                # Another process may have set the database aside, or someone may have
                # deleted it.
                if self._store is None or self._opened != self._identify_database():
                    self._open_database()
                return operation(self._store)
            except ImportError:
                trouble = self._stop_using(f"diskcache is not installed: {INSTALL}")
            except disk_errors() as error:
                trouble = self._handle_disk_error(error)
            except BaseException:
                # An interrupted transaction would keep every other process waiting.
                self._store = None
                raise
        # Outside the lock: a warning may run the caller's code, or be raised.
        if trouble and not self._has_warned:
            self._has_warned = True
            # The level of whoever called `get` or `put`.
            warnings.warn(trouble, RuntimeWarning, stacklevel=3)
        return None

    def _open_database(self) -> None:
        self._store = None
        # First, because it raises `ImportError` without diskcache: then no folder is
        # made.
        bytes_disk()
        self.folder.mkdir(
            parents=True,
            exist_ok=True,
        )
        # Before the check too: if it fails, `_handle_disk_error` sets aside the database that
        # failed, and not the one that another process has put in its place.
        self._opened = self._identify_database()
        check_lock(self.folder)
        # The check creates the database if there was none.
        self._opened = self._identify_database()
        self._store = open_store(self.folder, size_limit=self.size_limit)

    def _identify_database(self) -> tuple[int, int] | None:
        try:
            found = (self.folder / DATABASE).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _handle_disk_error(self, error: Exception) -> str:
        """Return what to warn of, after setting aside a database that is damaged."""
        is_from_sqlite = isinstance(error, sqlite3.Error)
        code = getattr(error, "sqlite_errorcode", None)
        # An error without a code comes from above SQLite: text that is not UTF-8. While
        # the store is open it is in one entry, which is a miss; else the database is
        # damaged.
        if is_from_sqlite and code is None and self._store is not None:
            return ""
        self._store = None
        # The low byte of an extended result code is its primary code.
        is_damaged = is_from_sqlite and (code or 1) & 0xFF in _DAMAGE_CODES
        if not is_damaged:
            # diskcache's timeout has no message.
            reason = str(error) or f"waited {BUSY_S:g} s for another process"
            return self._stop_using(reason, seconds=REST_S)
        # Kept beside the new one, in place of an earlier damaged one.
        aside = self.folder.with_name(f"{self.folder.name}.damaged")
        try:
            # Unless another process was faster and has set it aside already.
            if self._opened == self._identify_database():
                shutil.rmtree(aside, ignore_errors=True)
                self.folder.replace(aside)
        except OSError as refusal:
            return self._stop_using(f"{error}; it cannot be set aside: {refusal}")
        return (
            f"the generation cache in {self.folder} was damaged ({error}); "
            f"it starts anew, the old one is in {aside}"
        )

    def _stop_using(
        self,
        reason: str,
        *,
        seconds: float = math.inf,
    ) -> str:
        """Stop using the cache, for good unless told how long, and return why."""
        self._resumes_at = time.monotonic() + seconds
        return f"the generation cache in {self.folder} is not used for now: {reason}"


def text_cache() -> TextCache:
    """Return the cache that the environment asks for: one per folder and process.

    It is opened when it is first used. `THEMIS_CACHE=off` keeps nothing,
    `THEMIS_CACHE_SIZE_MB` is the limit in MiB (1,024 unless set). Raises `ConfigError`
    for any other values.
    """
    folder = cache_folder() / "generations"
    size_limit = _read_size_limit()
    with _LOCK:
        if (folder, size_limit) not in _SHARED:
            _SHARED[folder, size_limit] = TextCache(folder, size_limit=size_limit)
        return _SHARED[folder, size_limit]


def _read_size_limit() -> int:
    switch = os.environ.get("THEMIS_CACHE", "").strip().lower()
    if switch not in _SWITCH:
        raise ConfigError(f"THEMIS_CACHE={switch!r}: set it to on or off")
    size = os.environ.get("THEMIS_CACHE_SIZE_MB", "")
    try:
        limit = float(size) * (1 << 20) if size else float(DEFAULT_SIZE_LIMIT)
    except ValueError:
        # Fails the next comparison, as does "nan" itself.
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise ConfigError(
            f"THEMIS_CACHE_SIZE_MB={size!r}: "
            "set it to a number of MiB, 0 to keep nothing"
        )
    return int(limit) if _SWITCH[switch] else 0


@functools.cache
def _watch_forks() -> None:
    """Make every fork of this process wait for the lock, once per process."""

    def leave_parent() -> None:
        for cache in _CACHES:
            _INHERITED.append(cache._store)
            cache._store = None
        # Held since before the fork, by the one thread that the child has.
        _LOCK.release()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_LOCK.acquire,
            after_in_parent=_LOCK.release,
            after_in_child=leave_parent,
        )
