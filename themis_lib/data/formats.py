"""The formats of dataset files, JSON Lines, CSV and Parquet, as rows.

Rows are read a batch at a time, in one pass. Malformed content is a `DatasetError` that
names the file and the line or row.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import infer_compression

from themis_lib.core.config import DatasetFile
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import load_json

Row = Mapping[str, Any]
#: The number of a line and the row on it; where there are no lines, the number of the
#: row, counted from 0.
Record = tuple[int, Row]

#: Bytes asked of a file at a time.
READ_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """An open file: its columns, and `records`, which reads some of them, once.

    Messages call the line or row of a record what `place` returns for its number, and
    the line with the column names `head`. With `blank_is_null`, the format cannot tell
    null from an empty text.
    """

    name: str
    columns: Sequence[str]
    records: Callable[[Sequence[str]], Iterator[Record]]
    head: str
    place: Callable[[int], str]
    blank_is_null: bool = False


_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


def find_reader(
    dataset: DatasetFile,
    path: str,
) -> Callable[[io.BufferedReader, str], Source]:
    """Return the reader of a file: by its `format`, else by its suffix.

    A suffix such as `.gz` is skipped. Raises `DatasetError` if neither names a format.
    """
    # Of a chained URL such as `zip://d.csv::s3://…`, the file is named first.
    name = path.partition("::")[0].lower()
    if infer_compression(name):
        name = PurePosixPath(name).stem
    suffix = PurePosixPath(name).suffix
    file_format = dataset.format or _FORMATS.get(suffix)
    if file_format is None:
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: {dataset.path!r} ends in none of "
            f"{', '.join(_FORMATS)}; say its `format`: jsonl, csv or parquet"
        )
    if file_format == "jsonl":
        return jsonl_source
    if file_format == "parquet":
        return parquet_source
    # Tabs are a matter of the suffix: no `format` says so.
    delimiter = "\t" if suffix == ".tsv" else ","
    return partial(csv_source, delimiter=delimiter)


def jsonl_source(
    file: Iterable[bytes],
    path: str,
) -> Source:
    """Return the JSON objects of a file, one a line; the first names the columns."""
    lines = _json_lines(file, path)
    first = next(lines, None)
    if first is None:
        raise DatasetError(f"{path}: there are no rows")
    number, row = first
    return Source(
        name=path,
        columns=list(row),
        # Whole rows: which columns to keep is known only after the line is parsed.
        records=lambda _: chain([first], lines),
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
    )


def _json_lines(
    file: Iterable[bytes],
    path: str,
) -> Iterator[Record]:
    lines = _text_lines(file, path)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = load_json(line)
        # Also a `ValueError`, so before that one: it knows the column.
        except json.JSONDecodeError as error:
            raise DatasetError(
                f"{path}:{number}: not JSON: {error.msg} at column {error.colno}"
            ) from None
        # Lists nested by the thousand exhaust the parser's stack.
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise DatasetError(
                f"{path}:{number}: not a JSON object but {kind}: {row!r:.60}"
            )
        yield number, row


def _text_lines(
    file: Iterable[bytes],
    path: str,
) -> Iterator[str]:
    # Line by line, not through a text file, so that an error names its line.
    for number, line in enumerate(file, start=1):
        # Editors on Windows put a byte order mark before the first line.
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{path}:{number}: not UTF-8: {error.reason} at byte {error.start}"
            ) from None
        yield text


#: The number of the line a row begins on, and its cells.
_Cells = tuple[int, list[str]]
#: Far above Python's own limit, so that a long document fits; low enough for a quote
#: that is never closed.
_LARGEST_CELL = 2**24


def csv_source(
    file: Iterable[bytes],
    path: str,
    *,
    delimiter: str,
) -> Source:
    """Return the rows of a CSV file, every cell a text; the first row names the columns."""
    # The limit is the whole process's: never lower what somebody else raised.
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    lines = _text_lines(file, path)
    cells = _csv_cells(lines, path, delimiter=delimiter)
    number, header = next(cells, (0, []))
    if not header:
        raise DatasetError(f"{path}: there are no rows")

    def records(_: Sequence[str]) -> Iterator[Record]:
        for line, row in cells:
            if len(row) != len(header):
                raise DatasetError(
                    f"{path}:{line}: {len(row)} cells under {len(header)} column names"
                )
            yield line, dict(zip(header, row, strict=True))

    return Source(
        name=path,
        columns=_check_distinct(header, f"{path}:{number}"),
        records=records,
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
        blank_is_null=True,
    )


def _csv_cells(
    lines: Iterable[str],
    path: str,
    *,
    delimiter: str,
) -> Iterator[_Cells]:
    """Yield the rows that are not blank."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        # Before the row is read: a quoted cell may go over several lines.
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DatasetError(f"{path}:{number}: not CSV: {error}") from None
        if cells is None:
            return
        if cells:
            yield number, cells


_READ_ROWS = 4096


def parquet_source(
    file: io.BufferedReader,
    path: str,
) -> Source:
    """Return the rows of a Parquet file; columns that are not asked for stay unread."""
    # With `pre_buffer`, or without a buffer size, a whole row group would be read at
    # once.
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=READ_BYTES)

    def records(columns: Sequence[str]) -> Iterator[Record]:
        start = 0
        for batch in parquet.iter_batches(_READ_ROWS, columns=list(columns)):
            values = []
            # By name: the file's order of columns need not be the one asked for.
            for name in columns:
                column = batch.column(name)
                cells = column.to_pylist()
                # Arrow returns a map as a list of pairs.
                if pa.types.is_map(column.type):
                    cells = [None if pairs is None else dict(pairs) for pairs in cells]
                values.append(cells)
            rows = zip(*values, strict=True)
            for number, row in enumerate(rows, start):
                yield number, dict(zip(columns, row, strict=True))
            start += batch.num_rows

    return Source(
        name=path,
        columns=_check_distinct(parquet.schema_arrow.names, path),
        records=records,
        head=path,
        place=lambda row: f"{path}: row {row}",
    )


def _check_distinct(
    columns: list[str],
    where: str,
) -> list[str]:
    # A row is a dictionary: the second of two columns would hide the first.
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise DatasetError(f"{where}: two columns are called {repeated[0]!r}")
    return columns
