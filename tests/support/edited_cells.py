"""Cells of stored tables, edited by hand such that the file is valid."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from themis_lib import RunResult, RunStore
from themis_lib.runs.inventory import directories_of
from themis_lib.storage.part_files import described, parquet_bytes


def edit_cell(store: RunStore, path: str, column: str, row: int, value: Any) -> None:
    """Write a table anew with another value in one cell, and the digests that fit."""
    table = pq.read_table(pa.BufferReader(store.read_bytes(path)))
    values = table[column].to_pylist()
    values[row] = value
    at = table.column_names.index(column)
    field = table.schema.field(column)
    edited = table.set_column(at, field, pa.array(values, field.type))
    if path.startswith("rows/"):
        store.replace(path, parquet_bytes(described(edited)))
    else:
        sink = pa.BufferOutputStream()
        pq.write_table(edited, sink)
        store.replace(path, sink.getvalue().to_pybytes())
    # Whoever looks later is another process, which has read nothing yet.
    store._tables.forget(path)


def parts_of(run: RunResult, stage: str) -> list[str]:
    """The paths of the parts of a stage of a run, by its label, or of its cases."""
    if stage == "cases":
        return list(run.manifest.cases)
    directory = directories_of(run.manifest)[stage]
    files = run.store.files(directory)
    return [file.path for file in files if file.path.endswith(".parquet")]
