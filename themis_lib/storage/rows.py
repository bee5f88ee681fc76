"""The cache: the rows of one stage under one fingerprint, by key.

    <directory>/<name>.parquet      a complete shard, named by the digest of its input
    <directory>/<name>.pieces       one most of whose rows others hold (`pieces.py`)
    <directory>/rows-….parquet      rows of interrupted shards, named by their keys
    <directory>/….journal           rows of a shard in progress (`local_journal.py`)

Every file has the column `key` and those of the stage. The first row written for a key
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
from themis_lib.storage.journal import Journal
from themis_lib.storage.local_files import locked
from themis_lib.storage.local_journal import JOURNAL_SUFFIX, LocalJournal, recover
from themis_lib.storage.part_files import PART_SUFFIX, part_of
from themis_lib.storage.part_journal import PartJournal, claims_in_process
from themis_lib.storage.pieces import PIECES_SUFFIX, Piece, is_piecemeal, pieces_of
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, column_digests, with_columns_of

Positions = npt.NDArray[np.int64]
_LOOSE = "rows-"
#: How old a listing may be when a shard is looked for where listing is slow. At worst,
#: a shard that another process just finished is computed twice, and the first one wins.
_FRESH_S = 1.0
#: A locator holds the number of a file above the number of a row in it.
_FILE_SHIFT = 32
_ROW_MASK = 0xFFFFFFFF
_NOWHERE: Positions = np.empty(0, dtype=np.int64)


class RowSet:
    """The rows of a stage: found by key, published by the shard, journaled in between.

    Safe to share between threads.
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
        # The known files, oldest first, and whether the index has their keys.
        self._names: dict[str, bool] = {}
        # The known shards that are pieces of other files.
        self._pieces: set[str] = set()
        # The indexed files, by their number in the locators.
        self._paths: list[str] = []
        self._listed_at: float | None = None
        self._lock = threading.RLock()

    def shard(self, name: str) -> Part | None:
        """Return the reference to a complete shard; `None` if there is none yet."""
        # Of an earlier run, it is opened without listing all that runs since wrote.
        if self._store.local or self._listed_at is None:
            part = self._stored_shard(name)
            if part is not None:
                return part
        part = self._listed_shard(name)
        if part is not None:
            return part
        fresh_s = 0 if self._store.local else _FRESH_S
        # The age is read inside the lock: a thread that waited for another's listing
        # need not list again.
        with self._lock:
            listed_at = self._listed_at
            if listed_at is None or time.monotonic() - listed_at >= fresh_s:
                self.refresh()
        return self._listed_shard(name)

    def _stored_shard(self, name: str) -> Part | None:
        """Return the reference to a complete shard that is in the store."""
        part = self._store.read_part(self.path(name))
        if self._store.local:
            # On disks, files are added as they are listed, in the order they were written.
            return part or self._store.read_part(self._path_of(name + PIECES_SUFFIX))
        if part is not None:
            self.learn([part.path])
        return part

    def _listed_shard(self, name: str) -> Part | None:
        """Return the reference to a complete shard among the known files."""
        if name + PART_SUFFIX in self._names:
            return self._store.read_part(self.path(name))
        path = self._path_of(name + PIECES_SUFFIX)
        return self._store.read_part(path) if path in self._pieces else None

    @staticmethod
    def is_loose(name: str) -> bool:
        """Return whether a file holds loose rows and not a complete shard."""
        return name.startswith(_LOOSE)

    def path(self, name: str) -> str:
        """Return the path of a complete shard."""
        return self._path_of(name + PART_SUFFIX)

    def find(self, keys: pa.Array) -> tuple[Positions, pa.Table]:
        """Return the positions of the keys that have a row, ascending, and their rows."""
        with self._lock:
            self._index_new_files()
            located = self._index.find(keys)
            # A copy: another thread may start the index anew.
            paths = list(self._paths)
        # An empty table and no positions first: there may be nothing to concatenate.
        tables = [self.schema.empty_table()]
        positions = [_NOWHERE]
        # The shift keeps the sign: keys without a row have the number -1.
        numbers = located >> _FILE_SHIFT
        for number in np.unique(numbers[located >= 0]):
            wanted = np.flatnonzero(numbers == number)
            table = self._store.read_table(paths[number])
            if table is None:
                # Removed or damaged since it was indexed: start the index anew without
                # it, as another file may have the rows.
                with self._lock:
                    self._index = KeyIndex()
                    self._paths = []
                    self._names.pop(self._name_of(paths[number]), None)
                    self._names = dict.fromkeys(self._names, False)
                return self.find(keys)
            stored = with_columns_of(table, self.schema)
            rows_in_file = located[wanted] & _ROW_MASK
            found = stored.take(pa.array(rows_in_file))
            wanted_keys = keys.take(pa.array(wanted))
            # The index knows half of a key.
            same = pc.equal(found["key"], wanted_keys)
            tables.append(found.filter(same))
            positions.append(wanted[same.to_numpy()])
        where = np.concatenate(positions)
        order = np.argsort(where, kind="stable")
        rows = pa.concat_tables(tables)
        return where[order], rows.take(pa.array(order))

    def publish(
        self,
        name: str,
        table: pa.Table,
        *,
        known: Positions = _NOWHERE,
    ) -> Part:
        """Write a complete shard and return its reference.

        Rows that were written first, by any process, replace those of this table; those
        at the positions `known` were found and are looked up no more.
        """
        # Between looking and writing, no other process on this disk may publish.
        with self._locked_rows():
            self.refresh()
            others = np.delete(np.arange(table.num_rows), known)
            keys = table["key"].combine_chunks().take(pa.array(others))
            found, rows = self.find(keys)
            if len(found):
                # Of both tables one below the other, take row by row.
                both = pa.concat_tables([table, rows.cast(table.schema)])
                choice = np.arange(table.num_rows)
                choice[others[found]] = table.num_rows + np.arange(rows.num_rows)
                table = both.take(pa.array(choice))
            positions = np.union1d(known, others[found])
            part = self._publish_pieces(name, table, positions)
            if part is not None:
                return part
            part = self._store.create_part(self.path(name), table)
            # At once: the next listing may be a while away.
            if not self._store.local:
                self.learn([part.path])
            return part

    def _publish_pieces(
        self,
        name: str,
        table: pa.Table,
        stored: Positions,
    ) -> Part | None:
        """Publish a shard as pieces of the file that holds most of its `stored` rows.

        The others get a file of their own. `None` for a shard that is to be written
        whole: too much of it is elsewhere, or to read it would take requests.
        """
        # Without locks, files of unfinished rows are removed once a shard is published.
        if not self._store.has_locks or name + PART_SUFFIX in self._names:
            return None
        if table["key"].null_count:
            return None
        located = self._index.find(table["key"].combine_chunks())
        # A file may have been removed since its rows were found.
        stored = stored[located[stored] >= 0]
        if not len(stored):
            return None
        numbers, rows = located >> _FILE_SHIFT, located & _ROW_MASK
        most = int(np.bincount(numbers[stored]).argmax())
        is_elsewhere = np.ones(table.num_rows, dtype=bool)
        is_elsewhere[stored] = numbers[stored] != most
        count = int(is_elsewhere.sum())
        files = is_elsewhere.astype(np.int64)
        rows[is_elsewhere] = np.arange(count)
        pieces = pieces_of(files, rows)
        if pieces is None or not is_piecemeal(count, table.num_rows):
            return None
        base = self._file_with(pieces, table, self._paths[most])
        if base is None:
            return None
        held = [base]
        if count:
            others = table.filter(pa.array(is_elsewhere)).select(self.schema.names)
            other = self._store.read_part(self.write_loose(others))
            # These keys may have a file of rows that were not the first to be written.
            if other is None or other.columns != column_digests(others):
                return None
            held.append(other)
        path = self._path_of(name + PIECES_SUFFIX)
        part = self._store.create_pieces(path, table, held, pieces)
        self._pieces.add(path)
        return part

    def _file_with(
        self,
        pieces: Iterable[Piece],
        table: pa.Table,
        path: str,
    ) -> Part | None:
        """Return the first file of pieces, at a path; `None` unless it has those rows."""
        base = self._store.read_table(path)
        # Another process may have removed what is still in memory here.
        if base is None or not self._store.exists(path):
            return None
        stored = with_columns_of(base, self.schema)
        table = table.select(self.schema.names)
        position = 0
        for piece in pieces:
            # Slices: to take the rows would copy them.
            rows = table.slice(position, piece.rows)
            held = stored.slice(piece.start, piece.rows)
            # The file in which they were found may be gone, and this one have others.
            if piece.file == 0 and not held.equals(rows):
                return None
            position += piece.rows
        return part_of(path, base)

    def save(self, table: pa.Table) -> str:
        """Write rows that do not make a complete shard, and return their path."""
        path = self.write_loose(table)
        self.refresh()
        return path

    def write_loose(self, table: pa.Table) -> str:
        """Do the same as `save`, for rows that need not be found before a `refresh`."""
        keys = [key.hex() for key in table["key"].to_pylist()]
        # Named by the keys: rows that are recovered twice make one file.
        name = digest("rows", keys)
        path = self._path_of(f"{_LOOSE}{name}{PART_SUFFIX}")
        self._store.create_part(path, table.select(self.schema.names))
        return path

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files of rows."""
        for path in paths:
            self._store.remove(path)

    def journal(self, *, interval_s: float) -> Journal:
        """Return a journal for one shard in progress.

        It stores what was appended about every `interval_s`, so a crash costs the rows
        of that time at most.
        """
        if self._store.has_locks:
            directory = self._store.locate(self.directory)
            return LocalJournal(directory, interval_s=interval_s)
        return PartJournal(self, interval_s=interval_s)

    def refresh(self) -> None:
        """Look for files of any process, and recover the journals of dead ones."""
        with self._lock:
            # Before the listing: files written during it belong to the next one.
            self._listed_at = time.monotonic()
            listing = self._store.list(self.directory)
            has_recovered = False
            for name in listing:
                # Only disks have journals that are files.
                if not self._store.local or not name.endswith(JOURNAL_SUFFIX):
                    continue
                path = self._store.locate(self._path_of(name))
                if recover(path, self.schema, save=self.write_loose):
                    has_recovered = True
            if has_recovered:
                listing = self._store.list(self.directory)
            # On disks this process's own files, too, are added only here, in the order
            # in which all writers wrote: the first row of a key must win everywhere.
            for name in listing:
                if name.startswith("."):
                    continue
                if name.endswith(PART_SUFFIX):
                    self._names.setdefault(name, False)
                elif name.endswith(PIECES_SUFFIX):
                    self._pieces.add(self._path_of(name))

    @property
    def address(self) -> str:
        """Where the rows are, for all stores of this process."""
        return f"{self._store.url}/{self.directory}"

    @property
    def is_blind(self) -> bool:
        """Whether other processes may compute rows here without a way to tell."""
        return not self._store.has_locks and not self._store.in_memory

    @contextlib.contextmanager
    def claiming(self) -> Iterator[None]:
        """Keep others from claiming rows: who is on this disk, or in this process.

        Raise `BlockingIOError` if another process is claiming or publishing rows.
        """
        with claims_in_process(self.address).lock, self._locked_rows(waiting=False):
            yield

    def look_again(self) -> None:
        """Look for what others have finished, where listing is slow at times only."""
        if not self._store.local and not self._store.in_memory:
            elsewhere = claims_in_process(self.address).ended_elsewhere(self)
            oldest = max(time.monotonic() - _FRESH_S, elsewhere)
            if self._listed_at is not None and self._listed_at > oldest:
                return
        self.refresh()

    def learn(self, paths: Iterable[str]) -> None:
        """Add files that this process wrote, without looking for others."""
        with self._lock:
            for path in paths:
                self._names.setdefault(self._name_of(path), False)

    def names(self) -> list[str]:
        """Return the names of the files with rows, oldest first."""
        with self._lock:
            self.refresh()
            return list(self._names)

    def _index_new_files(self) -> None:
        # A list: files that turn out to be missing or damaged are deleted on the way.
        for name in [
            name for name, is_indexed in self._names.items() if not is_indexed
        ]:
            path = self._path_of(name)
            keys = self._store.read_keys(path)
            if keys is None:
                del self._names[name]
                continue
            self._index.add(keys, len(self._paths) << _FILE_SHIFT)
            self._paths.append(path)
            self._names[name] = True

    def _path_of(self, file: str) -> str:
        return f"{self.directory}/{file}"

    def _name_of(self, path: str) -> str:
        return path.removeprefix(f"{self.directory}/")

    @contextlib.contextmanager
    def _locked_rows(self, *, waiting: bool = True) -> Iterator[None]:
        """Keep other processes on this disk from publishing and claiming rows."""
        with self._lock:
            # Object stores have no locks: there, of two rows of a key the oldest file's
            # wins when they are read.
            if not self._store.local:
                yield
                return
            path = self._store.locate(self._path_of(".lock"))
            with locked(Path(path), waiting=waiting):
                yield


def rows_directory(stage: str, fingerprint: str) -> str:
    """Return where a store keeps the rows of one stage under one fingerprint."""
    return f"rows/{stage}/{fingerprint}"


def open_rows(
    store: RunStore,
    stage: str,
    fingerprint: str,
    schema: pa.Schema,
) -> RowSet:
    """Return the rows of one stage under one fingerprint.

    The same object for the life of the store, so that its index is built once.
    """
    directory = rows_directory(stage, fingerprint)
    return store.attached(directory, lambda: RowSet(store, directory, schema))
