"""JSON Lines, CSV and Parquet as rows."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dataset_files import error_of, file_of
from themis_lib.data.formats import (
    Record,
    Source,
    csv_source,
    find_reader,
    jsonl_source,
    parquet_source,
)
from themis_lib.errors import DatasetError


def records_of(source: Source) -> list[Record]:
    """Return every row of a source with its number."""
    return list(source.records(source.columns))


def jsonl_records(content: bytes) -> list[Record]:
    """Return the rows of JSON lines."""
    return records_of(jsonl_source(io.BytesIO(content), "d.jsonl"))


def csv_records(content: bytes) -> list[Record]:
    """Return the rows of a CSV file."""
    return records_of(csv_source(io.BytesIO(content), "d.csv", delimiter=","))


# The format of a file


@pytest.mark.parametrize(
    ("path", "fields", "blank_is_null"),
    [
        ("d.jsonl", {}, False),
        ("D.NDJSON", {}, False),
        ("d.csv", {}, True),
        ("d.csv.gz", {}, True),
        ("d.csv::zip://a.jsonl", {}, True),
        ("d.txt", {"format": "csv"}, True),
        ("d.csv", {"format": "jsonl"}, False),
    ],
)
def test_reader_is_found_by_format_or_suffix(
    path: str, fields: dict[str, Any], blank_is_null: bool
) -> None:
    """The `format` counts first, then the suffix before that of a compression."""
    read = find_reader(file_of(path, **fields), path)

    source = read(io.BufferedReader(io.BytesIO(b'{"a": 1}\n')), path)  # type: ignore[arg-type]

    assert blank_is_null == source.blank_is_null


@pytest.mark.parametrize("file_format", [None, "csv"])
def test_tsv_is_split_at_tabs(file_format: str | None) -> None:
    """A .tsv file is split at tabs, also when its format is given as csv."""
    read = find_reader(file_of("d.tsv", format=file_format), "d.tsv")

    source = read(io.BufferedReader(io.BytesIO(b"a\tb\n1,2\t3\n")), "d.tsv")  # type: ignore[arg-type]

    assert [(2, {"a": "1,2", "b": "3"})] == records_of(source)


@pytest.mark.parametrize("path", ["d.json", "d", "d.jsonl/d", "d.txt.gz"])
def test_unknown_suffix_asks_for_the_format(path: str) -> None:
    """A name that says no format is refused with those there are, before the file is
    looked for.
    """
    expected = (
        f"dataset 'd': {path!r} ends in none of .jsonl, .ndjson, .csv, .tsv, .parquet; "
        "say its `format`: jsonl, csv or parquet"
    )
    assert expected == error_of(file_of(path))


# JSON Lines


def test_jsonl_skips_blank_lines_and_a_byte_order_mark() -> None:
    """Blank lines are no rows, and neither a byte order mark nor Windows line ends are
    part of a line.
    """
    found = jsonl_records(b'\xef\xbb\xbf{"input": 1}\r\n\r\n  \n{"input": 2}')

    assert [(1, {"input": 1}), (4, {"input": 2})] == found


def test_jsonl_keeps_long_integers() -> None:
    """An integer beyond 64 bits keeps every digit."""
    found = jsonl_records(b'{"input": 123456789012345678901}')

    assert [(1, {"input": 123456789012345678901})] == found


def test_first_line_names_the_columns() -> None:
    """The columns are those of the first line; later lines may have others."""
    source = jsonl_source(io.BytesIO(b'\n{"b": 1, "a": 2}\n{"c": 3}\n'), "d.jsonl")

    assert ["b", "a"] == source.columns
    assert "d.jsonl:2" == source.head
    assert [(2, {"b": 1, "a": 2}), (3, {"c": 3})] == records_of(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"a": 1}\n\n{"a":\n',
            ":3: not JSON: unexpected end of data at column 1",
        ),
        (
            b'{"a": NaN}',
            ":1: not JSON: unexpected character, expected a JSON value at column 7",
        ),
        (
            b'{"a": 1e999}',
            ":1: not JSON: number is infinity when parsed as double at column 7",
        ),
        (b'{"a": 1}\n["a"]', ":2: not a JSON object but list: ['a']"),
        (b'{"a": 1}\n{"a": "\xff"}', ":2: not UTF-8: invalid start byte at byte 7"),
        (b'{"a": ' + b"[" * 100_000, ":1: not JSON: depth limit exceeded"),
        # A long integer is read by Python's own parser, which has another limit.
        (
            b'{"n": 12345678901234567890, "a": ' + b"[" * 100_000,
            ":1: not JSON: maximum recursion depth exceeded",
        ),
        (b"", ": there are no rows"),
        (b"\n \n", ": there are no rows"),
    ],
)
def test_wrong_jsonl_is_named_by_its_line(content: bytes, message: str) -> None:
    """An error in JSON lines names the file and the line, counting blank ones."""
    with pytest.raises(DatasetError) as raised:
        jsonl_records(content)

    assert str(raised.value).startswith(f"d.jsonl{message}")


# CSV


def test_csv_cells_are_text() -> None:
    """CSV cells are text, quoted cells may hold commas and line ends, blank lines are no
    rows, and a row has the number of the line it begins on.
    """
    found = csv_records(b'\xef\xbb\xbfa,b\r\n"a, ""b""\nc",12\r\n\r\n,x\r\n')

    assert [(2, {"a": 'a, "b"\nc', "b": "12"}), (5, {"a": "", "b": "x"})] == found


@pytest.fixture
def _field_limit() -> Iterator[None]:
    """Give the process its limit on cells back after the test."""
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("_field_limit")
def test_csv_cells_may_be_long() -> None:
    """A CSV cell may hold a long document, well beyond the 128 KiB that Python allows
    by itself.
    """
    csv.field_size_limit(2**17)

    found = csv_records(b"a\n" + b"x" * 1_000_000 + b"\n")

    assert [(2, {"a": "x" * 1_000_000})] == found


@pytest.mark.usefixtures("_field_limit")
def test_csv_limit_is_never_lowered() -> None:
    """A limit that the process raised above the library's stays."""
    csv.field_size_limit(2**30)

    csv_records(b"a\n1\n")

    assert 2**30 == csv.field_size_limit()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n\n3\n", ":4: 1 cells under 2 column names"),
        (b'a,b\n"x\ny",2\n"z\nz"\n', ":4: 1 cells under 2 column names"),
        (b'a,b\n1,2\n"3', ":3: not CSV: unexpected end of data"),
        (b"a,b,a\n1,2,3\n", ":1: two columns are called 'a'"),
        (b"a\n1\n\xff\n", ":3: not UTF-8: invalid start byte at byte 0"),
        (b"", ": there are no rows"),
        (b"\n\n", ": there are no rows"),
    ],
)
def test_wrong_csv_is_named_by_its_line(content: bytes, message: str) -> None:
    """An error in a CSV file names the file and the line on which the row begins."""
    with pytest.raises(DatasetError) as raised:
        csv_records(content)

    assert f"d.csv{message}" == str(raised.value)


# The `csv` module writes a row of one empty cell and a row of none alike.
csv_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.tuples(csv_texts, csv_texts), max_size=5))
def test_cells_survive_csv(rows: list[tuple[str, str]]) -> None:
    """Any cells that Python's `csv` writes are read as they were."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])

    found = csv_records(file.getvalue().encode())

    assert [{"a": a, "b": b} for a, b in rows] == [row for _, row in found]


# Parquet


def parquet_records(table: pa.Table, path: Path, columns: list[str]) -> list[Record]:
    """Return some columns of a table that is written as Parquet and read."""
    pq.write_table(table, path)
    with path.open("rb") as file:
        return list(parquet_source(file, str(path)).records(columns))


def test_parquet_values_keep_their_types(tmp_path: Path) -> None:
    """Parquet numbers, lists, structs, maps and nulls become the Python values they
    are.
    """
    levels = pa.array([[("level", 3)], None], pa.map_(pa.string(), pa.int64()))
    table = pa.table(
        {
            "turns": pa.array([[{"role": "user", "content": "hi"}], []]),
            "number": pa.array([1.5, None]),
            "levels": levels,
            "date": pa.array([datetime.date(2024, 1, 1), None]),
        }
    )

    found = parquet_records(table, tmp_path / "d.parquet", table.column_names)

    turns = [{"role": "user", "content": "hi"}]
    date = datetime.date(2024, 1, 1)
    assert [
        (0, {"turns": turns, "number": 1.5, "levels": {"level": 3}, "date": date}),
        (1, {"turns": [], "number": None, "levels": None, "date": None}),
    ] == found


def test_parquet_rows_are_numbered_over_batches(tmp_path: Path) -> None:
    """Rows are counted from 0 over all batches, and have the columns in the order asked
    for.
    """
    rows = 10_000
    table = pa.table({"a": range(rows), "b": range(rows), "c": range(rows)})

    found = parquet_records(table, tmp_path / "d.parquet", ["c", "a"])

    assert list(range(rows)) == [number for number, _ in found]
    assert ["c", "a"] == list(found[-1][1])
    assert {"c": rows - 1, "a": rows - 1} == found[-1][1]


def test_parquet_columns_are_distinct(tmp_path: Path) -> None:
    """Two columns of one name are refused: a row could hold only one of them."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])

    with pytest.raises(DatasetError, match=r"d\.parquet: two columns are called 'a'$"):
        parquet_records(table, tmp_path / "d.parquet", ["a"])
