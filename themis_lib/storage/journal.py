"""Journals of shards in progress: rows are stored as they finish, so that a crash
repeats only what was in flight.

On a filesystem with locks a journal is a file of JSON lines that its writer keeps
locked. The lock of a process that died is free, and the next reader turns its journal
into a part. On other filesystems a journal is a part every few seconds.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa

from themis_lib.storage.local_files import lock
from themis_lib.storage.tables import table_of

#: A row as a stage made it: its `key` is 16 bytes, every other value JSON.
Record = Mapping[str, Any]
JOURNAL_SUFFIX = ".journal"
#: The least time between two parts: each takes a request, and is a file to clean up.
_REMOTE_INTERVAL_S = 2.0


class Journal(ABC):
    """The rows of a shard in progress.

    `append` them, then `discard` the journal once the shard is published, or `close` it
    to leave them to the next run.
    """

    def __init__(self, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self._pending: list[Record] = []
        self._flushed_at = time.monotonic()

    def append(self, records: Sequence[Record]) -> None:
        """Add rows, `key` included, and store them if the interval has passed."""
        self._pending.extend(records)
        elapsed_s = time.monotonic() - self._flushed_at
        if elapsed_s >= self.interval_s:
            self.flush()

    def flush(self) -> None:
        """Store every row appended so far."""
        if self._pending:
            # Pending until written: a write that fails is repeated with the next rows.
            self._write_records(self._pending)
            self._pending = []
        self._flushed_at = time.monotonic()

    @abstractmethod
    def _write_records(self, records: Sequence[Record]) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Store every row and leave the journal to its next reader."""

    @abstractmethod
    def discard(self) -> None:
        """Remove the journal: its rows are in a published shard."""


class LocalJournal(Journal):
    """A locked file of JSON lines, created with its first row."""

    def __init__(
        self,
        directory: str,
        *,
        interval_s: float,
    ) -> None:
        super().__init__(interval_s=interval_s)
        self._path = Path(directory) / f"{uuid.uuid4().hex}{JOURNAL_SUFFIX}"
        self._file: int | None = None

    def _write_records(self, records: Sequence[Record]) -> None:
        if self._file is None:
            self._file = _create_locked(self._path)
        lines = []
        for record in records:
            key = record["key"].hex()
            lines.append(orjson.dumps({**record, "key": key}))
        content = b"\n".join(lines) + b"\n"
        # Not through a buffer: a process that is killed would lose what is in it.
        while content:
            written = os.write(self._file, content)
            content = content[written:]

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def discard(self) -> None:
        self._pending = []
        if self._file is not None:
            # Before the lock is free: a reader would take the journal for an orphan.
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


class LooseRows(Protocol):
    """The rows of one stage, as a journal of parts uses them."""

    schema: pa.Schema

    def write_loose(self, table: pa.Table) -> str:
        """Write rows that do not make a complete shard, and return their path."""

    def learn(self, paths: Sequence[str]) -> None:
        """Add files that this process wrote to those that are known."""

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files of rows."""


class PartJournal(Journal):
    """A journal of parts, one an interval, for filesystems without append or locks."""

    def __init__(
        self,
        rows: LooseRows,
        *,
        interval_s: float,
    ) -> None:
        super().__init__(interval_s=max(interval_s, _REMOTE_INTERVAL_S))
        self._rows = rows
        self._paths: list[str] = []

    def _write_records(self, records: Sequence[Record]) -> None:
        table = table_of(records, self._rows.schema)
        path = self._rows.write_loose(table)
        self._paths.append(path)

    def close(self) -> None:
        self.flush()
        self._rows.learn(self._paths)

    def discard(self) -> None:
        self._pending = []
        self._rows.remove(self._paths)


def _create_locked(path: Path) -> int:
    """Create a file under another name, lock it, and rename it.

    No reader can find it unlocked and take it for an orphan.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unnamed = path.with_suffix(".new")
    # `O_EXCL`: never write into a file that somebody else made.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
    file = os.open(unnamed, flags, 0o644)
    lock(file, fcntl.LOCK_EX)
    unnamed.rename(path)
    return file


def recover(
    path: str,
    schema: pa.Schema,
    *,
    save: Callable[[pa.Table], str],
) -> bool:
    """Turn the journal of a process that died into a part.

    Return `False` for a journal whose writer lives, which is left alone. `True` says
    that its rows have left the journal, whoever moved them.
    """
    try:
        # Read from the open file: another reader may remove its name meanwhile.
        with Path(path).open("rb") as file:
            # Shared: a reader that took another reader for the writer would compute
            # the rows again. Two that recover at once write the same part.
            # Without locks here, the writer is on a machine that has them.
            if not lock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB):
                return False
            records = list(filter(None, map(_parse_record, file)))
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    if records:
        save(table_of(records, schema))
    # After they are saved: a crash in between saves them twice, under one name.
    Path(path).unlink(missing_ok=True)
    return True


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """Return a row of a journal; `None` for a last line that was cut off."""
    try:
        record = orjson.loads(line)
        key = bytes.fromhex(record["key"])
        return {**record, "key": key}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
