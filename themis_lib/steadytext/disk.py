"""How the generation cache is laid out on disk: diskcache's database, without pickle.

*Eviction* (frecency). An entry has a credit in seconds: 0 when it is stored, and each
use moves it an eighth of the way to thirty days; the credit is spent as time passes.
The entry with the smallest sum of *the time of storing or last use* and *the credit
left then* is evicted first. So among entries that were never used again, the oldest
goes; one use outweighs 3.75 days of age, eight uses 20, and no number of uses 30.
Popular entries are evicted too once they are no longer asked for.

*Trust*. A value is JSON with a checksum over its key and its bytes; anything else is a
miss. Nothing is pickled or unpickled: diskcache would, so its `Disk` is replaced by one
that refuses.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from themis_lib.errors import escape_surrogates

#: diskcache's name for its database.
DATABASE = "cache.db"
#: Seconds to wait for another process that is writing.
BUSY_S = 2.0
#: Seconds that the most used entry is kept without another use.
MAX_CREDIT_S = 30 * 86_400
_CHECKSUM_BYTES = 16
#: diskcache's form of a policy, in SQL. `access_time` holds the time of the last use
#: plus the credit left then.
_FRECENCY = {
    "init": "CREATE INDEX IF NOT EXISTS Cache_access_time ON Cache (access_time)",
    "get": (
        "access_time = (7 * MAX(access_time, {now}) + {now} + "
        f"{MAX_CREDIT_S}) / 8.0"
    ),
    "cull": "SELECT {fields} FROM Cache ORDER BY access_time LIMIT ?",
}


def encode_entry(
    key: str,
    entry: Mapping[str, Any],
) -> bytes:
    """Return an entry's bytes: checksum, one byte for the form, and canonical JSON.

    The form is `z` for zlib, where that is shorter, and `j` for plain JSON. Raises
    `TypeError` for what JSON cannot hold.
    """
    text = json.dumps(
        dict(entry),
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    packed = zlib.compress(text)
    payload = b"z" + packed if len(packed) < len(text) else b"j" + text
    return _checksum_payload(key, payload) + payload


def decode_entry(
    key: str,
    data: bytes,
) -> dict[str, Any] | None:
    """Return the entry in the bytes, or `None` unless they were stored under this key."""
    checksum = data[:_CHECKSUM_BYTES]
    payload = data[_CHECKSUM_BYTES:]
    if checksum != _checksum_payload(key, payload):
        return None
    text = payload[1:]
    try:
        if payload[:1] == b"z":
            text = zlib.decompress(text)
        entry = json.loads(text)
    # A checksum is no signature: a program can write one over anything.
    except (zlib.error, ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


@functools.cache
def bytes_disk() -> type[Any]:
    """Return the class by which diskcache reads and writes values: bytes, never pickles.

    Raises `ImportError` without diskcache, which is imported on the first call.
    """
    import diskcache
    from diskcache.core import MODE_BINARY, MODE_RAW

    class BytesDisk(diskcache.Disk):  # type: ignore[misc]
        """Keys are text and values bytes.

        diskcache would pickle other values, and unpickle what it finds.
        """

        def __init__(
            self,
            directory: str,
            min_file_size: int = 0,
            **_: object,
        ) -> None:
            # The database stores its disk's settings and passes them on opening; those
            # of another class may be among them.
            super().__init__(directory, min_file_size=min_file_size)

        def put(self, key: object) -> tuple[str, bool]:
            if not isinstance(key, str):
                raise TypeError(f"the key of a generation is a text, not {key!r}")
            # SQLite takes no half of a surrogate pair.
            return escape_surrogates(key), True

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
            # Any other mode is a pickle or text, which nothing here writes.
            return None

    return BytesDisk


def disk_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions by which the disk, SQLite or diskcache report trouble."""
    import diskcache

    return (sqlite3.Error, OSError, diskcache.Timeout)


def check_lock(folder: Path) -> None:
    """Raise `sqlite3.OperationalError` if another process holds the lock for `BUSY_S`.

    Creates an empty database if there is none.
    """
    # diskcache would wait for the lock for a minute while it opens.
    connection = sqlite3.connect(
        folder / DATABASE,
        timeout=BUSY_S,
        isolation_level=None,
    )
    with contextlib.closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def open_store(
    folder: Path,
    *,
    size_limit: int,
) -> Any:
    """Open diskcache's store in a folder; `size_limit` is in bytes.

    Raises `sqlite3.DatabaseError` for a database whose settings are not diskcache's.
    """
    import diskcache

    diskcache.EVICTION_POLICY["frecency"] = _FRECENCY
    try:
        return diskcache.Cache(
            str(folder),
            timeout=BUSY_S,
            disk=bytes_disk(),
            eviction_policy="frecency",
            size_limit=size_limit,
            # The cache evicts until the limit holds, not ten entries at a time.
            cull_limit=0,
            # A database cut short while it is mapped would kill the process.
            sqlite_mmap_size=0,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(
            f"its settings are not those of a cache: {error}"
        ) from error


def _checksum_payload(
    key: str,
    payload: bytes,
) -> bytes:
    name = key.encode("utf-8", "surrogatepass")
    # The key's length keeps key and payload apart: no entry passes under another key.
    content = b"themis/generation/1\n%d\n%b%b" % (len(name), name, payload)
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()
