"""Writers of the tables of a run."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.spec import AbstractBufferedFile

from themis_lib.storage.local_files import room_error
from themis_lib.storage.part_files import dictionary_columns
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import RUN_TABLES

#: The most that is copied of each table.
_COPIED_BYTES = 16 * 2**20


class TableWriters:
    """The Parquet files of a run, a row group for each shard.

    A file gets its name only once it is complete. Where reading them back takes
    requests, the store holds copies of small ones.
    """

    def __init__(
        self,
        store: RunStore,
        directory: str,
    ) -> None:
        self._store = store
        self._directory = directory
        # An object appears only when it is complete: only disks need another name.
        self._suffix = f".{uuid.uuid4().hex}.tmp" if store.local else ""
        self._open: dict[str, tuple[_CopyingFile, pq.ParquetWriter]] = {}

    def write(
        self,
        name: str,
        table: pa.Table,
    ) -> None:
        """Add the rows of a shard to a table. Raise `DiskFullError` if need be."""
        with self._room_for(name, table.nbytes):
            self._write_rows(name, table)

    def _write_rows(
        self,
        name: str,
        table: pa.Table,
    ) -> None:
        if name not in self._open:
            path = self._table_path(name) + self._suffix
            self._store.make_folder(path)
            location = self._store.locate(path)
            file = _CopyingFile(
                self._store.fs.open(location, "wb"),
                keep=not self._store.local,
            )
            writer = pq.ParquetWriter(
                file,
                RUN_TABLES[name],
                compression="zstd",
                use_dictionary=dictionary_columns(table),
            )
            self._open[name] = (file, writer)
        _, writer = self._open[name]
        # Parquet refuses row groups of no rows.
        writer.write_table(table, row_group_size=max(table.num_rows, 1))

    def close(self) -> None:
        """Complete every table."""
        for name, (file, writer) in self._open.items():
            with self._room_for(name, 0):
                # The writer first: it adds the footer.
                writer.close()
                file.close()
            if self._suffix:
                path = self._store.locate(self._table_path(name))
                self._store.fs.mv(path + self._suffix, path)
        if not self._store.local:
            # `None` for tables that were not written.
            copies: dict[str, bytes | None] = {}
            for name in RUN_TABLES:
                path = self._table_path(name)
                if name not in self._open:
                    copies[path] = None
                    continue
                file, _ = self._open[name]
                # A table too large to copy is left out, and read with requests.
                if file.copy:
                    copies[path] = file.copy
            self._store.hold(copies)
        self._open = {}

    def abandon(self) -> None:
        """Close every table without leaving a file behind."""
        for name, (file, _) in self._open.items():
            # The failure that is the reason to abandon them must not be hidden by another.
            with contextlib.suppress(Exception):
                file.discard()
            with contextlib.suppress(Exception):
                if self._store.local or self._store.in_memory:
                    self._store.remove(self._table_path(name) + self._suffix)
        self._open = {}

    @contextlib.contextmanager
    def _room_for(
        self,
        name: str,
        size: int,
    ) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = Path(self._store.locate(self._table_path(name)))
            raise room_error(error, path, size) from None

    def _table_path(self, name: str) -> str:
        return f"{self._directory}/{name}.parquet"


class _CopyingFile(io.RawIOBase):
    """A file to write, with a copy of its content as long as that is small."""

    def __init__(
        self,
        file: Any,
        *,
        keep: bool,
    ) -> None:
        self._file: Any = file
        self._copy: io.BytesIO | None = io.BytesIO() if keep else None

    @property
    def copy(self) -> bytes | None:
        """What was written; `None` if it was too much or no copy is kept."""
        return None if self._copy is None else self._copy.getvalue()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        if self._copy is not None:
            self._copy.write(content)
            if self._copy.tell() > _COPIED_BYTES:
                self._copy = None
        # After `discard`, the footer that a Parquet writer adds goes nowhere.
        if self._file is None:
            return len(content)
        return int(self._file.write(content))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Close the file and, where the filesystem can, write nothing."""
        file = self._file
        self._file = None
        # fsspec's `discard` drops the upload but leaves the file open, and closing it
        # would upload it all the same.
        if isinstance(file, AbstractBufferedFile):
            file.discard()
            file.closed = True
        elif file is not None:
            file.close()
