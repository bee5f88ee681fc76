"""The tables of a run appear whole or not at all, on every filesystem."""

from __future__ import annotations

import gc

import pyarrow as pa
import pytest

from tests.support.stores import OpenStore
from themis_lib.storage.table_writers import TableWriters
from themis_lib.storage.tables import RUN_TABLES, table_of


def summary(*names: str) -> pa.Table:
    return table_of(
        [{"dataset_id": name, "n": 1} for name in names], RUN_TABLES["summary"]
    )


def test_tables_are_what_was_written(open_store: OpenStore) -> None:
    """A table has a row group for each shard, and is the same from memory and from the
    store.
    """
    store = open_store()
    writers = TableWriters(store, "runs/r")

    writers.write("summary", summary("one"))
    writers.write("summary", summary("two", "three"))
    writers.close()

    with (
        store.open("runs/r/summary.parquet") as here,
        open_store().open("runs/r/summary.parquet") as there,
    ):
        contents = [here.read(), there.read()]
    assert contents[0] == contents[1]
    file = pa.parquet.ParquetFile(pa.BufferReader(contents[1]))
    assert [1, 2] == [
        file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)
    ]
    assert ["summary.parquet"] == list(store.list("runs/r"))
    with pytest.raises(FileNotFoundError):
        store.open("runs/r/cases.parquet")


def test_abandoned_tables_leave_nothing(open_store: OpenStore) -> None:
    """A run that fails leaves neither a table nor a temporary file, also once its
    writers are collected.
    """
    store = open_store()
    writers = TableWriters(store, "runs/r")
    writers.write("summary", summary("one"))

    writers.abandon()
    del writers
    gc.collect()

    assert {} == open_store().list("runs/r")
