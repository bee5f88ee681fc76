"""Parquet files as rows, with the values that their columns mean."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from themis_lib.data.records import (
    BATCH_ROWS,
    NUMBER,
    Record,
    Source,
    Unparsed,
    batches,
    check_distinct,
)

#: Bytes asked of a file at a time.
READ_BYTES = 2**20
#: The largest number up to which floats hold every integer.
_LARGEST_WHOLE = 2.0**53

_Reader: TypeAlias = Callable[[Any], Any]


def parquet_source(
    file: io.BufferedReader,
    path: str,
) -> Source:
    """Return the rows of a Parquet file; columns that are not asked for stay unread.

    A column of floats that are all whole is one of integers: with a gap, integers
    become floats on their way through pandas.
    """
    # With `pre_buffer`, or without a buffer size, a whole row group would be read at
    # once.
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=READ_BYTES)

    def records(columns: Sequence[str]) -> Iterator[Record]:
        for table in _tables(parquet, columns):
            yield from _records(columns, table)

    return Source(
        name=path,
        columns=check_distinct(parquet.schema_arrow.names, path),
        records=records,
        head=path,
        place=lambda row: f"{path}: row {row}",
        is_typed=True,
        unparsed=Unparsed(lambda columns: _tables(parquet, columns), _records),
    )


def _tables(
    parquet: pq.ParquetFile,
    columns: Sequence[str],
) -> Iterator[pa.Table]:
    """Yield the rows, their columns named by number: any name may be in the file."""
    schema = parquet.schema_arrow
    floats = [name for name in columns if is_float(schema.field(name).type)]
    whole = _whole_columns(parquet, floats)
    names = [NUMBER, *map(str, range(len(columns)))]
    start = 0
    # In threads, so few rows at a time take longer to hand over than to decode.
    decoded = parquet.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False)
    for batch in decoded:
        numbers = np.arange(start, start + batch.num_rows)
        arrays = [pa.array(numbers)]
        # By name: the file's order of columns need not be the one asked for.
        for name in columns:
            column = batch.column(name)
            arrays.append(column.cast(pa.int64()) if name in whole else column)
        yield pa.table(arrays, names)
        start += batch.num_rows


def _records(
    columns: Sequence[str],
    table: pa.Table,
) -> Iterator[Record]:
    for batch in batches(table):
        numbers, *values = (_cells(column) for column in batch.columns)
        rows = zip(*values, strict=True)
        for number, row in zip(numbers, rows, strict=True):
            yield number, dict(zip(columns, row, strict=True))


def is_float(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds floats."""
    return bool(pa.types.is_floating(kind))


def is_whole(column: pa.Array | pa.ChunkedArray) -> bool:
    """Return whether the floats of a column are all whole, nulls aside.

    NaN and infinity are not, nor are numbers too large to hold every integer.
    """
    if column.null_count == len(column):
        return True
    values = column.cast(pa.float64())
    is_integer = pc.equal(pc.floor(values), values)
    is_exact = pc.less_equal(pc.abs(values), _LARGEST_WHOLE)
    return bool(pc.all(pc.and_(is_integer, is_exact)).as_py())


def _whole_columns(
    parquet: pq.ParquetFile,
    names: Sequence[str],
) -> set[str]:
    """Return those of some columns of floats that are whole in every row."""
    whole = set(names)
    if not whole:
        return whole
    for batch in parquet.iter_batches(BATCH_ROWS, columns=list(names)):
        whole = {name for name in whole if is_whole(batch.column(name))}
        if not whole:
            break
    return whole


def _cells(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column as Python's."""
    cells: list[Any] = column.to_pylist()
    read = _reader_of(column.type)
    return cells if read is None else [read(cell) for cell in cells]


def _reader_of(kind: pa.DataType) -> _Reader | None:
    """Return what makes a value of a type the one that is meant; `None` for itself."""
    if pa.types.is_dictionary(kind):
        return _reader_of(kind.value_type)
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        # The shortest number that is this one: 0.1, not 0.10000000149011612.
        width = np.float32 if pa.types.is_float32(kind) else np.float16
        return _unless_null(lambda value: float(str(width(value))))
    if pa.types.is_map(kind):
        return _map_reader(_reader_of(kind.item_type))
    if pa.types.is_struct(kind):
        return _struct_reader(kind)
    if _is_list(kind):
        item = _reader_of(kind.value_type)
        if item is not None:
            return _unless_null(lambda values: [item(value) for value in values])
    return None


def _map_reader(read: _Reader | None) -> _Reader:
    # Arrow returns a map as a list of pairs.
    if read is None:
        return _unless_null(dict)
    return _unless_null(lambda pairs: {key: read(value) for key, value in pairs})


def _struct_reader(kind: pa.StructType) -> _Reader | None:
    readers = {}
    for index in range(kind.num_fields):
        field = kind.field(index)
        read = _reader_of(field.type)
        if read is not None:
            readers[field.name] = read
    if not readers:
        return None

    def read_fields(value: dict[str, Any]) -> dict[str, Any]:
        changed = {name: read(value[name]) for name, read in readers.items()}
        return {**value, **changed}

    return _unless_null(read_fields)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
    )


def _unless_null(read: _Reader) -> _Reader:
    return lambda value: None if value is None else read(value)
