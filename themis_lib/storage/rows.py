"""The rows of one stage under one fingerprint: the cache, by key.

    <directory>/<name>.parquet      a complete shard, named by the digest of its input
    <directory>/rows-….parquet      rows of shards that were interrupted, named by their keys
    <directory>/….journal           rows of a shard in progress (see `journal.py`)

Every file holds `key` and the columns of the stage. The first row written for a key
wins for every reader.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.identity.digests import digest
from themis_lib.identity.part import Part
from themis_lib.storage.index import KeyIndex
from themis_lib.storage.journal import (
    JOURNAL_SUFFIX,
    Journal,
    LocalJournal,
    PartJournal,
    recover,
)
from themis_lib.storage.local_files import locked
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY

Positions = npt.NDArray[np.int64]
_SUFFIX = ".parquet"
_LOOSE = "rows-"
#: How old a listing may be when a shard is looked for where to list is slow: what
#: others finished meanwhile is computed twice at worst, and who publishes first wins.
_FRESH_S = 1.0


class RowSet:
    """Finds rows by key, publishes complete shards, and keeps a journal of those in
    progress.
    """

    def __init__(
        self,
        store: RunStore,
        directory: str,
        schema: pa.Schema,
    ) -> None:
        self.directory = directory
        self.schema = pa.schema([KEY, *schema])
        self._store = store
        self._index = KeyIndex()
        self._names: dict[
            str, bool
        ] = {}  # whether the file's keys are in the index yet
        self._paths: list[str] = []  # in the order of the index's locators
        self._listed_at: float | None = None
        self._lock = threading.RLock()

    def shard(self, name: str) -> Part | None:
        """The reference to a complete shard; null where it has not been computed."""
        path = self.path(name)
        if (
            not self._store.local and self._listed_at is None
        ):  # one request where to list first takes two
            part = self._store.read_part(path)
            if part is not None:
                self.learn([path])
                return part
        if name + _SUFFIX not in self._names:
            self._refresh_older(0 if self._store.local else _FRESH_S)
        return self._store.read_part(path) if name + _SUFFIX in self._names else None

    @staticmethod
    def is_loose(name: str) -> bool:
        """Whether a file holds loose rows and not a complete shard."""
        return name.startswith(_LOOSE)

    def path(self, name: str) -> str:
        """Where a complete shard lies."""
        return f"{self.directory}/{name}{_SUFFIX}"

    def find(self, keys: pa.Array) -> tuple[Positions, pa.Table]:
        """The positions of the keys that have a row, in ascending order, and those
        rows, aligned with them.
        """
        with self._lock:
            self._index_new_files()
            located = self._index.find(keys)
            paths = list(self._paths)
        tables, positions = [self.schema.empty_table()], [np.empty(0, dtype=np.int64)]
        for number in np.unique(located[located >= 0] >> 32):
            wanted = np.flatnonzero((located >> 32) == number)
            table = self._store.read_table(paths[number])
            if table is None:
                self._forget_file(paths[number])
                return self.find(keys)
            found = table.select(self.schema.names).replace_schema_metadata(None)
            found = found.take(pa.array(located[wanted] & 0xFFFFFFFF))
            same = pc.equal(found["key"], keys.take(pa.array(wanted)))
            tables.append(found.filter(same))
            positions.append(wanted[same.to_numpy()])
        where = np.concatenate(positions)
        order = np.argsort(where, kind="stable")
        return where[order], pa.concat_tables(tables).take(pa.array(order))

    def publish(
        self,
        name: str,
        table: pa.Table,
    ) -> Part:
        """Write a complete shard. Rows that somebody else wrote first take the place of
        this table's.
        """
        with self._publish_lock():
            self.refresh()
            positions, rows = self.find(table["key"].combine_chunks())
            part = self._store.create_part(
                self.path(name), _replace_known(table, positions, rows)
            )
            if not self._store.local:
                self.learn([part.path])  # at once: the next listing may be a while away
            return part

    def save(self, table: pa.Table) -> str:
        """Write rows that do not make a complete shard; returns where."""
        path = self.write_loose(table)
        self.refresh()
        return path

    def write_loose(self, table: pa.Table) -> str:
        """`save` for rows that are found only after the next `refresh`."""
        name = f"{_LOOSE}{digest('rows', [key.hex() for key in table['key'].to_pylist()])}{_SUFFIX}"
        path = f"{self.directory}/{name}"
        self._store.create_part(path, table.select(self.schema.names))
        return path

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files of rows."""
        for path in paths:
            self._store.remove(path)

    def journal(self, *, interval_s: float) -> Journal:
        """A journal for one shard in progress; rows are safe at most `interval_s` after
        they are appended.
        """
        if self._store.has_locks:
            return LocalJournal(
                self._store.locate(self.directory), interval_s=interval_s
            )
        return PartJournal(self, interval_s=interval_s)

    def refresh(self) -> None:
        """Look for rows written since, by whomever, and recover the journals of
        processes that died.
        """
        with self._lock:
            self._listed_at = time.monotonic()
            listing = self._store.list(self.directory)
            recovered = [
                self._recover_journal(name)
                for name in listing
                if name.endswith(JOURNAL_SUFFIX)
            ]
            if any(recovered):
                listing = self._store.list(self.directory)
            # On disks own files, too, are learnt of here alone: in the order of all
            # writers.
            for name in listing:
                if name.endswith(_SUFFIX) and not name.startswith("."):
                    self._names.setdefault(name, False)

    def learn(self, paths: Iterable[str]) -> None:
        """Take files for found that were written here, without looking for others."""
        with self._lock:
            for path in paths:
                self._names.setdefault(path.removeprefix(f"{self.directory}/"), False)

    def _refresh_older(self, seconds: float) -> None:
        with (
            self._lock
        ):  # who waits here for another thread's listing need not list again
            if self._listed_at is None or time.monotonic() - self._listed_at >= seconds:
                self.refresh()

    def names(self) -> list[str]:
        """The files that hold rows, oldest first."""
        with self._lock:
            self.refresh()
            return list(self._names)

    def _recover_journal(self, name: str) -> bool:
        path = self._store.locate(f"{self.directory}/{name}")
        return self._store.local and recover(path, self.schema, save=self.write_loose)

    def _index_new_files(self) -> None:
        for name in [name for name, indexed in self._names.items() if not indexed]:
            path = f"{self.directory}/{name}"
            keys = self._store.read_keys(path)
            if keys is None:
                del self._names[name]
                continue
            self._index.add(
                keys, (len(self._paths) << 32) + np.arange(len(keys), dtype=np.int64)
            )
            self._paths.append(path)
            self._names[name] = True

    def _forget_file(self, path: str) -> None:
        """Start the index anew without a file that is gone."""
        with self._lock:
            self._index, self._paths = KeyIndex(), []
            self._names = {
                name: False
                for name in self._names
                if f"{self.directory}/{name}" != path
            }

    @contextlib.contextmanager
    def _publish_lock(self) -> Iterator[None]:
        with self._lock:
            if not self._store.local:
                yield
                return
            with locked(Path(self._store.locate(f"{self.directory}/.lock"))):
                yield


def open_rows(
    store: RunStore,
    stage: str,
    fingerprint: str,
    schema: pa.Schema,
) -> RowSet:
    """Return the rows of one stage under one fingerprint; the same object for the life
    of the store.
    """
    directory = f"rows/{stage}/{fingerprint}"
    return store.attached(directory, lambda: RowSet(store, directory, schema))


def _replace_known(
    table: pa.Table,
    positions: Positions,
    rows: pa.Table,
) -> pa.Table:
    if not len(positions):
        return table
    choice = np.arange(table.num_rows)
    choice[positions] = table.num_rows + np.arange(rows.num_rows)
    return pa.concat_tables([table, rows.cast(table.schema)]).take(pa.array(choice))
