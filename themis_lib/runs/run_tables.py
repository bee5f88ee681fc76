"""The tables of a run: put together from parts, or files that an earlier version wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from themis_lib.runs.assembled_table import AssembledTable
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import RUN_TABLES

#: What versions up to 0.1.0 called a column of a run's table, by today's name.
_FORMER_NAMES: Mapping[str, Mapping[str, str]] = {"scores": {"score": "value"}}


class RunTableFile:
    """One table of a run as a file, under the column names of today.

    A row group for each shard and part.
    """

    def __init__(
        self,
        name: str,
        file: pa.NativeFile,
    ) -> None:
        self.name = name
        self._source = file
        self._file = pq.ParquetFile(file)
        present = set(self._file.schema_arrow.names)
        former = _FORMER_NAMES.get(name, {})
        self._stored_names: dict[str, str] = {}
        for column in RUN_TABLES[name].names:
            stored = column if column in present else former.get(column, column)
            if stored in present:
                self._stored_names[column] = stored

    @property
    def group_sizes(self) -> list[int]:
        """The rows of each row group."""
        metadata = self._file.metadata
        return [
            metadata.row_group(group).num_rows
            for group in range(metadata.num_row_groups)
        ]

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """Read the table, or some columns of it, or the rows `where` something holds."""
        names = list(columns or RUN_TABLES[self.name].names)
        stored = [name for name in names if name in self._stored_names]
        return self._with_absent(self._read_stored(stored, where), names)

    def _read_stored(
        self,
        names: Sequence[str],
        where: pc.Expression | None,
    ) -> pa.Table:
        stored = [self._stored_names[name] for name in names]
        if where is None:
            return self._file.read(columns=stored).rename_columns(names)
        # The footer was read through the same file, which is not at its start any more.
        self._source.seek(0)
        table = pq.read_table(
            self._source,
            columns=stored,
            filters=where,
        )
        return table.rename_columns(names)

    def read_groups(
        self,
        groups: Sequence[int],
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read some row groups."""
        names = list(columns or RUN_TABLES[self.name].names)
        present = [name for name in names if name in self._stored_names]
        stored = [self._stored_names[name] for name in present]
        table = self._file.read_row_groups(list(groups), columns=stored)
        return self._with_absent(table.rename_columns(present), names)

    def _with_absent(
        self,
        table: pa.Table,
        names: Sequence[str],
    ) -> pa.Table:
        """Return a table with all of these columns: those without values are null."""
        # What an earlier version did not write.
        for name in names:
            if name not in self._stored_names:
                field = RUN_TABLES[self.name].field(name)
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        return table.select(list(names))

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def open_table_file(
    store: RunStore,
    run_id: str,
    name: str,
) -> RunTableFile | None:
    """Open a file of a run by its name in `RUN_TABLES`; `None` where there is none."""
    try:
        return RunTableFile(name, store.open_for_arrow(f"runs/{run_id}/{name}.parquet"))
    except FileNotFoundError:
        return None


#: A table of a run, open for reading.
RunTable: TypeAlias = AssembledTable | RunTableFile
