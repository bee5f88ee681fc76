"""The Parquet files of parts."""

from __future__ import annotations

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from themis_lib.identity.part import Part
from themis_lib.storage.part_files import (
    COLUMNS,
    described,
    dictionary_columns,
    parquet_bytes,
    part_of,
    reader_of,
)
from themis_lib.storage.tables import column_digests

TABLE = pa.table(
    {
        "key": pa.array([b"k" * 16, None], pa.binary(16)),
        "value": pa.array(["a", None]),
        "latency_s": pa.array([0.5, None]),
    }
)


def read(content: bytes) -> pa.Table:
    """Return the table in a Parquet file."""
    return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)


def test_table_survives_its_file() -> None:
    """The rows, the schema and the digests of the columns are in the file."""
    table = described(TABLE)

    found = read(parquet_bytes(table))

    assert TABLE == found
    assert table.schema.equals(found.schema, check_metadata=True)


def test_digests_replace_other_metadata() -> None:
    """Equal tables are equal files, whatever their metadata was."""
    other = TABLE.replace_schema_metadata({"made": "by another tool"})

    metadata = described(other).schema.metadata

    assert {COLUMNS: json.dumps(column_digests(TABLE)).encode()} == metadata
    assert parquet_bytes(described(TABLE)) == parquet_bytes(described(other))


def test_reference_counts_rows_and_those_without_key() -> None:
    """The reference has the rows, the digests, and how many rows have no key."""
    expected = Part(path="p", rows=2, columns=column_digests(TABLE), skipped=1)

    assert expected == part_of("p", described(TABLE))


def test_reference_to_a_table_of_another_tool_has_no_digests() -> None:
    """A table without digests and without keys still has a reference."""
    assert Part(path="p", rows=2) == part_of("p", TABLE.select(["value"]))


def test_distinct_columns_have_no_dictionary() -> None:
    """Keys and latencies, all different, are written without a dictionary."""
    assert ["value"] == dictionary_columns(TABLE.column_names)


def test_flipped_bit_is_noticed() -> None:
    """A bit that flips in the data makes the file unreadable, not another table."""
    content = bytearray(parquet_bytes(TABLE))
    column = pq.read_metadata(pa.BufferReader(bytes(content))).row_group(0).column(0)
    end = column.data_page_offset + column.total_compressed_size
    content[end - 8] ^= 1

    with pytest.raises(OSError, match="checksum"):
        read(bytes(content))


def test_arrow_reads_content_in_memory_of_its_own() -> None:
    """Its threads let go of the content late, and must not need Python for it."""
    content = b"content" * 10
    holders = sys.getrefcount(content)

    reader = reader_of(content)

    assert holders == sys.getrefcount(content)
    assert content == reader.read()
