"""The tables of a run while they are written."""

from __future__ import annotations

import contextlib
import io
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.spec import AbstractBufferedFile

from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import RUN_TABLES

#: The most that stays at hand of each table.
_COPIED_BYTES = 16 * 2**20


class TableWriters:
    """The Parquet files of a run, a row group for each shard; they bear their names
    once they are complete.

    Where to read them back takes requests, a copy of small ones stays at hand.
    """

    def __init__(
        self,
        store: RunStore,
        directory: str,
    ) -> None:
        self._store = store
        self._directory = directory
        self._suffix = f".{uuid.uuid4().hex}.tmp" if store.local else ""
        self._open: dict[str, tuple[_CopyingFile, pq.ParquetWriter]] = {}

    def write(
        self,
        name: str,
        table: pa.Table,
    ) -> None:
        """Add the rows of a shard to a table."""
        if name not in self._open:
            path = self._table_path(name) + self._suffix
            self._store.make_folder(path)
            file = _CopyingFile(
                self._store.fs.open(self._store.locate(path), "wb"),
                keep=not self._store.local,
            )
            plain = [
                column
                for column in table.column_names
                if column not in ("key", "latency_s")
            ]
            writer = pq.ParquetWriter(
                file,
                RUN_TABLES[name],
                compression="zstd",
                use_dictionary=plain,
            )
            self._open[name] = (file, writer)
        self._open[name][1].write_table(table, row_group_size=max(table.num_rows, 1))

    def close(self) -> None:
        """Complete every table."""
        for name, (file, writer) in self._open.items():
            writer.close()
            file.close()
            if self._suffix:
                path = self._store.locate(self._table_path(name))
                self._store.fs.mv(path + self._suffix, path)
        if not self._store.local:
            copies = {name: file.copy for name, (file, _) in self._open.items()}
            missing = {
                self._table_path(name): None
                for name in RUN_TABLES
                if name not in copies
            }
            self._store.hold(
                {
                    **missing,
                    **{
                        self._table_path(name): copy
                        for name, copy in copies.items()
                        if copy
                    },
                }
            )
        self._open = {}

    def abandon(self) -> None:
        """Leave no table behind."""
        for name, (file, _) in self._open.items():
            with contextlib.suppress(Exception):
                file.discard()
                if self._store.local or self._store.in_memory:
                    self._store.remove(self._table_path(name) + self._suffix)
        self._open = {}

    def _table_path(self, name: str) -> str:
        return f"{self._directory}/{name}.parquet"


class _CopyingFile(io.RawIOBase):
    """A file being written, with a copy of its content as long as that is small."""

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
        """What was written; null where it was too much, or none was to be kept."""
        return None if self._copy is None else self._copy.getvalue()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        if self._copy is not None:
            self._copy.write(content)
            if self._copy.tell() > _COPIED_BYTES:
                self._copy = None
        return len(content) if self._file is None else int(self._file.write(content))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Close without having written, where the filesystem can; what a writer adds at
        its end goes nowhere.
        """
        file, self._file = self._file, None
        if isinstance(file, AbstractBufferedFile):
            file.discard()
            file.closed = True
        elif file is not None:
            file.close()
