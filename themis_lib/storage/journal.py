"""Rows of a shard in progress, made safe as they finish, so that a crash repeats only
what was in flight.

On a filesystem with locks a journal is a file of JSON lines that its writer holds
locked; the lock of a process that died is free, and the next reader turns its journal
into a part. Elsewhere a journal is a part every few seconds.
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

JOURNAL_SUFFIX = ".journal"
_REMOTE_INTERVAL_S = 2.0


class Journal(ABC):
    """Append rows; then `discard` once their shard is published, or `close` to leave
    them for the next run.
    """

    def __init__(self, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self._pending: list[Mapping[str, Any]] = []
        self._flushed_at = time.monotonic()

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take rows, `key` included, and make them safe when the interval has passed."""
        self._pending.extend(records)
        if time.monotonic() - self._flushed_at >= self.interval_s:
            self.flush()

    def flush(self) -> None:
        """Make every row appended so far safe."""
        if self._pending:
            self._write_records(self._pending)
            self._pending = []
        self._flushed_at = time.monotonic()

    @abstractmethod
    def _write_records(self, records: Sequence[Mapping[str, Any]]) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Make every row safe and let go; the next reader finds them."""

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

    def _write_records(self, records: Sequence[Mapping[str, Any]]) -> None:
        if self._file is None:
            self._file = _create_locked(self._path)
        lines = [
            orjson.dumps({**record, "key": record["key"].hex()}) for record in records
        ]
        content = b"\n".join(lines) + b"\n"
        while content:
            content = content[os.write(self._file, content) :]

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def discard(self) -> None:
        self._pending = []
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


class LooseRows(Protocol):
    """Where a journal of parts keeps them: the rows of one stage."""

    schema: pa.Schema

    def write_loose(self, table: pa.Table) -> str:
        """Write rows that do not make a complete shard; returns where."""

    def learn(self, paths: Sequence[str]) -> None:
        """Take files for found that were written here."""

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files of rows."""


class PartJournal(Journal):
    """A part for each interval, where files cannot be appended to."""

    def __init__(
        self,
        rows: LooseRows,
        *,
        interval_s: float,
    ) -> None:
        super().__init__(interval_s=max(interval_s, _REMOTE_INTERVAL_S))
        self._rows = rows
        self._paths: list[str] = []

    def _write_records(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._paths.append(self._rows.write_loose(table_of(records, self._rows.schema)))

    def close(self) -> None:
        self.flush()
        self._rows.learn(self._paths)

    def discard(self) -> None:
        self._pending = []
        self._rows.remove(self._paths)


def _create_locked(path: Path) -> int:
    """A new file that bears its name only once it is locked, so that no reader takes it
    for an orphan.
    """
    path.parent.mkdir(
        parents=True,
        exist_ok=True,
    )
    unnamed = path.with_suffix(".new")
    file = os.open(unnamed, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
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
            if not lock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB):
                return False  # of a machine that has locks here
            records = list(filter(None, map(_parse_record, file)))
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    if records:
        save(table_of(records, schema))
    Path(path).unlink(missing_ok=True)
    return True


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """A row of a journal; null for a last line that was cut off."""
    try:
        record = orjson.loads(line)
        return {**record, "key": bytes.fromhex(record["key"])}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
