"""Parquet files as rows."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from themis_lib.data.parquet_file import parquet_source
from themis_lib.data.records import Record
from themis_lib.errors import DatasetError


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


def values_of(column: pa.Array, path: Path) -> list[object]:
    """Return the values of one column that is written as Parquet and read."""
    records = parquet_records(pa.table({"a": column}), path / "d.parquet", ["a"])
    return [row["a"] for _, row in records]


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.float32(), pa.float16()], ids=["64", "32", "16"]
)
def test_column_of_whole_floats_is_one_of_integers(
    kind: pa.DataType, tmp_path: Path
) -> None:
    """Integers with a gap become floats in pandas: 42.0 was 42."""
    found = values_of(pa.array([42.0, None, -7.0], pa.float64()).cast(kind), tmp_path)

    assert [42, None, -7] == found
    assert [int, type(None), int] == list(map(type, found))


@pytest.mark.parametrize(
    "column", [[1.0, 2.5], [1e300], [2.0**53 * 2], [1.0, float("inf")]]
)
def test_other_floats_stay(column: list[float], tmp_path: Path) -> None:
    """A column is whole or it is not: 1.0 beside 2.5 is no integer."""
    found = values_of(pa.array(column), tmp_path)

    assert column == found
    assert {float} == set(map(type, found))


def test_last_row_decides_whether_a_column_is_whole(tmp_path: Path) -> None:
    """Beyond the first rows that are read."""
    column = pa.array([1.0] * 10_000 + [0.5])

    assert {float} == set(map(type, values_of(column, tmp_path)))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([0.1, None], pa.float32()), [0.1, None]),
        (pa.array([[0.1, None], None], pa.list_(pa.float32())), [[0.1, None], None]),
        (
            pa.array(
                [{"x": 0.1, "y": 1}], pa.struct([("x", pa.float32()), ("y", pa.int8())])
            ),
            [{"x": 0.1, "y": 1}],
        ),
        (
            pa.array([[("k", 0.1)]], pa.map_(pa.string(), pa.float32())),
            [{"k": 0.1}],
        ),
        (
            pa.array([[[("k", 1)]]], pa.list_(pa.map_(pa.string(), pa.int64()))),
            [[{"k": 1}]],
        ),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (
            pa.array([[["a"]], None], pa.large_list(pa.list_(pa.string()))),
            [[["a"]], None],
        ),
    ],
    ids=[
        "float32",
        "list",
        "struct",
        "map",
        "nested map",
        "dictionary",
        "large",
        "nested",
    ],
)
def test_values_are_those_that_are_meant(
    column: pa.Array, values: list[object], tmp_path: Path
) -> None:
    """At every depth: short floats by their shortest text, maps as objects."""
    assert values == values_of(column, tmp_path)
