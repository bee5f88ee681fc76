"""The Parquet files of parts, which record the digest of each column."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from themis_lib.identity.part import Part
from themis_lib.storage.tables import column_digests

PART_SUFFIX = ".parquet"
#: The key in the metadata of a part's schema that holds the digest of each column.
COLUMNS = b"themis.columns"
#: Columns whose values are all different: a dictionary would only add to them.
_DISTINCT_COLUMNS = ("key", "latency_s")


def described(table: pa.Table) -> pa.Table:
    """Return the table with the digest of each column in the metadata of its schema.

    In place of other metadata: equal tables must make equal files.
    """
    columns = json.dumps(column_digests(table))
    return table.replace_schema_metadata({COLUMNS: columns.encode()})


def part_of(
    path: str,
    table: pa.Table,
) -> Part:
    """Return the reference to a table that is `described`.

    A table without digests, from a file that another tool wrote, has no `columns`.
    """
    metadata = table.schema.metadata or {}
    skipped = table["key"].null_count if "key" in table.column_names else 0
    return Part(
        path=path,
        rows=table.num_rows,
        columns=json.loads(metadata.get(COLUMNS, b"{}")),
        skipped=skipped,
    )


def dictionary_columns(names: Iterable[str]) -> list[str]:
    """Return the columns to write with a dictionary: those whose values may repeat."""
    return [name for name in names if name not in _DISTINCT_COLUMNS]


def reader_of(content: bytes) -> pa.BufferReader:
    """Return a file for Arrow to read, with this content in Arrow's own memory.

    Arrow's threads let go of what they read after the call that asked for it. While
    Python ends, they would abort the process to let go of an object of Python.
    """
    sink = pa.BufferOutputStream()
    sink.write(content)
    return pa.BufferReader(sink.getvalue())


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as Parquet: zstd, with page checksums, keys without a dictionary."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=dictionary_columns(table.column_names),
        # Without checksums, a flipped bit in a number would be read as another number.
        write_page_checksum=True,
    )
    content = sink.getvalue()
    return bytes(content.to_pybytes())
