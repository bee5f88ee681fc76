"""The generation cache: finished texts on disk, shared by all processes, within a size
limit.

*What leaves first* (frecency). An entry has a credit in seconds: none when it is
stored, and each use takes it an eighth of the way to thirty days; it is spent as time
passes. The entry with the smallest *time of storing or last use plus the credit left
then* is evicted first. So among entries that were never used again the oldest goes, one
use outweighs 3.75 days of age, eight uses 20, and no number of them 30: popular entries
go too once nobody wants them.

*What is trusted.* A value is JSON with a checksum over its key and its bytes; anything
else is a miss. Nothing is ever pickled or unpickled: diskcache would, so its `Disk` is
replaced by one that refuses. What the disk does wrong costs one warning and the cache,
never a generation.

*Forks and threads.* One lock covers every access, and a fork waits for it; a forked
process opens the database anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import shutil
import sqlite3
import threading
import time
import warnings
import weakref
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from themis_lib.engine.build import INSTALL
from themis_lib.engine.places import cache_folder
from themis_lib.errors import ConfigError

DEFAULT_SIZE_LIMIT = 1 << 30
#: Seconds that the most used entry is kept without another use.
MAX_CREDIT_S = 30 * 86_400
#: Seconds to wait for another process that is writing, and how long to go without after
#: waiting in vain.
BUSY_S, REST_S = 2.0, 30.0
#: Entries over this share of the limit are not kept: they would drive out everything
#: else.
_LARGEST_SHARE = 4
_DATABASE = "cache.db"  # diskcache's name for it
_CHECKSUM_BYTES = 16
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

_LOCK = threading.RLock()
_SHARED: dict[tuple[Path, int], TextCache] = {}
_CACHES: weakref.WeakSet[TextCache] = weakref.WeakSet()
#: Connections of the parent process: SQLite forbids a forked process to use them, or to
#: close them.
_INHERITED: list[Any] = []
_Result = TypeVar("_Result")


class TextCache:
    """Finished generations by key, in a folder of their own; safe for threads, forks
    and several processes.

    `size_limit` is in bytes and covers the database and its value files; 0 keeps
    nothing and touches no disk. Neither method raises because of the disk: trouble is a
    miss, told once by a `RuntimeWarning`.
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
        self._opened: tuple[int, int] | None = (
            None  # device and inode of the database that `_store` has open
        )
        self._resumes_at = 0.0
        self._warned = False
        _watch_forks()
        _CACHES.add(self)

    def get(self, key: str) -> dict[str, Any] | None:
        """The entry under a key, and a use of it; None if there is none, or none that
        is whole.
        """
        data = self._try_operation(lambda store: store.get(key))
        return None if data is None else _decode_entry(key, data)

    def put(
        self,
        key: str,
        entry: Mapping[str, Any],
    ) -> None:
        """Keep a JSON object under a key, in place of an earlier one, and evict what
        then is too much.

        Keys of objects are strings, tuples come back as lists; floats come back bit for
        bit, infinities included. Raises `TypeError` for what JSON cannot hold.
        """
        data = _encode_entry(key, entry)
        if len(data) * _LARGEST_SHARE > self.size_limit:
            return

        def keep(store: Any) -> None:
            store.set(key, data)
            store.cull()

        self._try_operation(keep)

    def close(self) -> None:
        """Close this thread's connection; the next call opens it again."""
        with _LOCK:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _try_operation(self, operation: Callable[[Any], _Result]) -> _Result | None:
        """What the operation returns, or None where the cache cannot be used."""
        with _LOCK:
            if self.size_limit <= 0 or time.monotonic() < self._resumes_at:
                return None
            try:
                # Another process may have set the database aside, or someone deleted
                # it.
                if self._store is None or self._opened != self._folder_identity():
                    self._open_store()
                return operation(self._store)
            except ImportError:
                trouble = self._rest_for(
                    f"diskcache is not installed: {INSTALL}", math.inf
                )
            except _disk_errors() as error:
                trouble = self._recover_from(error)
            except BaseException:
                # An interrupted transaction would keep every other process waiting.
                self._store = None
                raise
        # Outside the lock: a warning may run the caller's code, or be raised.
        self._warn_once(trouble)
        return None

    def _open_store(self) -> None:
        self._store = None
        import diskcache

        diskcache.EVICTION_POLICY["frecency"] = _frecency_policy()
        self.folder.mkdir(
            parents=True,
            exist_ok=True,
        )
        self._opened = self._folder_identity()
        # diskcache would wait a minute for a lock that another process holds.
        connect = sqlite3.connect(
            self.folder / _DATABASE,
            timeout=BUSY_S,
            isolation_level=None,
        )
        with contextlib.closing(connect) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        self._opened = self._folder_identity()
        try:
            self._store = diskcache.Cache(
                str(self.folder),
                timeout=BUSY_S,
                disk=_json_disk(),
                eviction_policy="frecency",
                size_limit=self.size_limit,
                cull_limit=0,  # `put` evicts until the limit holds, not ten entries at a time
                # A database cut short while it is mapped would kill the process.
                sqlite_mmap_size=0,
            )
        except (
            KeyError,
            TypeError,
            ValueError,
        ) as error:  # settings in the database that are not diskcache's
            raise sqlite3.DatabaseError(
                f"its settings are not those of a cache: {error}"
            ) from error

    def _folder_identity(self) -> tuple[int, int] | None:
        try:
            found = (self.folder / _DATABASE).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _recover_from(self, error: Exception) -> str:
        # An error without a code comes from above SQLite: a text that is none, in one
        # entry or in what opening reads.
        code = getattr(error, "sqlite_errorcode", None)
        if (
            code is None
            and isinstance(error, sqlite3.Error)
            and self._store is not None
        ):
            return ""
        self._store = None
        if (
            not isinstance(error, sqlite3.Error)
            or (code or 1) & 0xFF not in _DAMAGE_CODES
        ):
            return self._rest_for(
                str(error) or f"waited {BUSY_S:g} s for another process", REST_S
            )
        try:
            return self._set_aside(error)
        except OSError as refusal:
            return self._rest_for(
                f"{error}; it cannot be set aside: {refusal}", math.inf
            )

    def _rest_for(
        self,
        reason: str,
        seconds: float,
    ) -> str:
        self._resumes_at = time.monotonic() + seconds
        return f"the generation cache in {self.folder} is not used for now: {reason}"

    def _set_aside(self, error: Exception) -> str:
        """Start an empty database; the last damaged one is kept beside it, unless
        another process was faster.
        """
        aside = self.folder.with_name(f"{self.folder.name}.damaged")
        if self._opened == self._folder_identity():
            shutil.rmtree(aside, ignore_errors=True)
            self.folder.replace(aside)
        return (
            f"the generation cache in {self.folder} was damaged ({error}); "
            f"it starts anew, the old one is in {aside}"
        )

    def _warn_once(self, trouble: str) -> None:
        if trouble and not self._warned:
            self._warned = True
            warnings.warn(trouble, RuntimeWarning, stacklevel=4)


def text_cache() -> TextCache:
    """The cache that the environment asks for, one per folder and process, opened when
    it is first used.

    `THEMIS_CACHE=off` keeps nothing, `THEMIS_CACHE_SIZE_MB` is the limit in MiB (1,024
    unless set). Raises `ConfigError` for values that are neither.
    """
    chosen = (cache_folder() / "generations", _size_limit())
    with _LOCK:
        if chosen not in _SHARED:
            _SHARED[chosen] = TextCache(chosen[0], size_limit=chosen[1])
        return _SHARED[chosen]


def _size_limit() -> int:
    switch = os.environ.get("THEMIS_CACHE", "").strip().lower()
    if switch not in _SWITCH:
        raise ConfigError(f"THEMIS_CACHE={switch!r}: set it to on or off")
    size = os.environ.get("THEMIS_CACHE_SIZE_MB", "")
    try:
        limit = float(size) * (1 << 20) if size else float(DEFAULT_SIZE_LIMIT)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise ConfigError(
            f"THEMIS_CACHE_SIZE_MB={size!r}: set it to a number of MiB, 0 to keep nothing"
        )
    return int(limit) if _SWITCH[switch] else 0


def _encode_entry(
    key: str,
    entry: Mapping[str, Any],
) -> bytes:
    """Checksum, one byte for the form, and canonical JSON, compressed where that is
    shorter.
    """
    text = json.dumps(
        dict(entry),
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    packed = zlib.compress(text)
    payload = b"z" + packed if len(packed) < len(text) else b"j" + text
    return _entry_checksum(key, payload) + payload


def _decode_entry(
    key: str,
    data: bytes,
) -> dict[str, Any] | None:
    checksum, payload = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if checksum != _entry_checksum(key, payload):
        return None
    try:
        entry = json.loads(
            zlib.decompress(payload[1:]) if payload[:1] == b"z" else payload[1:]
        )
    except (zlib.error, ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _entry_checksum(
    key: str,
    payload: bytes,
) -> bytes:
    name = key.encode("utf-8", "surrogatepass")
    content = b"themis/generation/1\n%d\n%b%b" % (len(name), name, payload)
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()


def _frecency_policy() -> dict[str, str]:
    """diskcache's description of the policy; `access_time` holds the time of the last
    use plus the credit then.
    """
    eighth = "access_time = (7 * MAX(access_time, {{now}}) + {{now}} + {credit}) / 8.0"
    return {
        "init": "CREATE INDEX IF NOT EXISTS Cache_access_time ON Cache (access_time)",
        "get": eighth.format(credit=MAX_CREDIT_S),
        "cull": "SELECT {fields} FROM Cache ORDER BY access_time LIMIT ?",
    }


@functools.cache
def _json_disk() -> type[Any]:
    """The class that reads and writes values: bytes only, and never a pickle."""
    import diskcache
    from diskcache.core import MODE_BINARY, MODE_RAW

    class BytesDisk(diskcache.Disk):  # type: ignore[misc]
        """Keys are text and values bytes; diskcache would pickle others, and unpickle
        what it finds.
        """

        def __init__(
            self,
            directory: str,
            min_file_size: int = 0,
            **_: object,
        ) -> None:
            super().__init__(directory, min_file_size=min_file_size)

        def put(self, key: object) -> tuple[str, bool]:
            if not isinstance(key, str):
                raise TypeError(f"the key of a generation is a text, not {key!r}")
            return key.encode("utf-8", "backslashreplace").decode(), True

        def get(
            self,
            key: object,
            raw: object,
        ) -> object:
            return key if isinstance(key, str) else None

        def store(
            self,
            value: bytes,
            read: bool,
            key: object = None,
        ) -> Any:
            return super().store(bytes(value), False, key=key)

        def fetch(
            self,
            mode: int,
            filename: str | None,
            value: object,
            read: bool,
        ) -> bytes | None:
            if mode == MODE_RAW:
                return value if isinstance(value, bytes) else None
            if mode == MODE_BINARY and isinstance(filename, str):
                return (Path(self._directory) / filename).read_bytes()
            return None

    return BytesDisk


def _disk_errors() -> tuple[type[Exception], ...]:
    import diskcache

    return (sqlite3.Error, OSError, diskcache.Timeout)


@functools.cache
def _watch_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_LOCK.acquire,
            after_in_parent=_LOCK.release,
            after_in_child=_leave_parent,
        )


def _leave_parent() -> None:
    for cache in _CACHES:
        _INHERITED.append(cache._store)
        cache._store = None
    _LOCK.release()
