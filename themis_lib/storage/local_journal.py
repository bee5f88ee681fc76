"""Journals on filesystems with locks: files of JSON lines that their writers keep
locked.

The lock of a process that died is free, and the next reader turns its journal into a
part. The journal of a live writer can be read: it tells what it has claimed and
finished.

    {"claims": [KEY, …]}      rows that the writer is computing from now on
    {"released": [KEY, …]}    and those that it has given up
    {…, "key": KEY}           a finished row
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from themis_lib.storage.journal import Journal, OthersRows, Record
from themis_lib.storage.local_files import lock, room_error
from themis_lib.storage.tables import table_of

JOURNAL_SUFFIX = ".journal"
_CLAIMS = "claims"
_RELEASED = "released"
# Every line of a record is parsed only where its journal has claimed a wanted row.
_CLAIMS_START = f'{{"{_CLAIMS}":'.encode()
_RELEASED_START = f'{{"{_RELEASED}":'.encode()


class LocalJournal(Journal):
    """A locked file of JSON lines, created with its first row or claim."""

    def __init__(
        self,
        directory: str,
        *,
        interval_s: float,
    ) -> None:
        super().__init__(interval_s=interval_s)
        self._path = Path(directory) / f"{uuid.uuid4().hex}{JOURNAL_SUFFIX}"
        self._file: int | None = None
        self._has_rows = False
        self._others: dict[Path, _LiveJournal] = {}

    def claim(self, keys: Sequence[bytes]) -> None:
        self._write(_line_of({_CLAIMS: [key.hex() for key in keys]}))

    def release(self, keys: Sequence[bytes]) -> None:
        self._write(_line_of({_RELEASED: [key.hex() for key in keys]}))

    def others(self, wanted: AbstractSet[bytes]) -> OthersRows:
        claimed: set[bytes] = set()
        finished: list[Record] = []
        for path in self._path.parent.glob(f"*{JOURNAL_SUFFIX}"):
            if path == self._path:
                continue
            journal = self._others.setdefault(path, _LiveJournal(path))
            if not journal.read_on(wanted):
                continue
            claimed |= journal.claimed & wanted
            finished += [row for key, row in journal.rows.items() if key in wanted]
        return OthersRows(claimed, finished)

    def share(self) -> None:
        self.flush()

    def _write_records(self, records: Sequence[Record]) -> None:
        content = bytearray()
        for record in records:
            # Not a list of lines: each of them takes 4 KiB, however short it is.
            content += _line_of({**record, "key": record["key"].hex()})
        self._write(content)
        self._has_rows = True

    def _write(self, content: bytes | bytearray) -> None:
        left = memoryview(content)
        size = 0
        try:
            if self._file is None:
                self._file = _create_locked(self._path)
            size = os.fstat(self._file).st_size
            # Not through a buffer: a process that is killed would lose what is in it.
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            # The next lines must not go on in the middle of one.
            if self._file is not None:
                os.ftruncate(self._file, size)
            raise room_error(error, self._path, len(content)) from None

    def close(self) -> None:
        try:
            self.flush()
        finally:
            if self._file is not None:
                if not self._has_rows:
                    self._path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = None

    def discard(self) -> None:
        self._pending = []
        if self._file is not None:
            # Before the lock is free: a reader would take the journal for an orphan.
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


class _LiveJournal:
    """What another writer's journal says, read on where it was last read."""

    def __init__(self, path: Path) -> None:
        self.claimed: set[bytes] = set()
        #: The finished rows among those that are wanted, by key.
        self.rows: dict[bytes, Record] = {}
        self._path = path
        self._offset = 0
        #: Whether it has claimed a wanted row.
        self._is_shared = False

    def read_on(self, wanted: AbstractSet[bytes]) -> bool:
        """Read what was written since the last call, and return whether its writer lives.

        Of a journal that has ended, the rows are in a part, or will be with the next
        look for files.
        """
        self._is_shared = not self.claimed.isdisjoint(wanted)
        try:
            with self._path.open("rb") as file:
                if _is_orphan(file.fileno()):
                    return False
                file.seek(self._offset)
                # Line by line: a journal may be as large as its shard.
                for line in file:
                    # The last line may be half written.
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    self._take_line(line, wanted)
        except FileNotFoundError:
            return False
        return True

    def _take_line(
        self,
        line: bytes,
        wanted: AbstractSet[bytes],
    ) -> None:
        if line.startswith(_CLAIMS_START):
            self.claimed.update(_keys(line, _CLAIMS))
            self._is_shared = not self.claimed.isdisjoint(wanted)
        elif line.startswith(_RELEASED_START):
            self.claimed.difference_update(_keys(line, _RELEASED))
        elif self._is_shared:
            record = _parse_record(line)
            if record is not None and record["key"] in wanted:
                self.rows[record["key"]] = record


def _line_of(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _keys(
    line: bytes,
    name: str,
) -> list[bytes]:
    return [bytes.fromhex(key) for key in orjson.loads(line)[name]]


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
            # Two that recover at once write the same part.
            if not _is_orphan(file.fileno()):
                return False
            records = list(filter(None, map(_parse_record, file)))
    except FileNotFoundError:
        return True
    if records:
        save(table_of(records, schema))
    # After they are saved: a crash in between saves them twice, under one name.
    Path(path).unlink(missing_ok=True)
    return True


def _is_orphan(file: int) -> bool:
    """Return whether the writer of an open journal has ended; if so, lock it to read."""
    try:
        # Shared: a reader that took another reader for the writer would compute the
        # rows again. Without locks here, the writer is on a machine that has them.
        return lock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """Return a row of a journal; `None` for a claim, or a last line that was cut off."""
    try:
        record = orjson.loads(line)
        key = bytes.fromhex(record["key"])
        return {**record, "key": key}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
