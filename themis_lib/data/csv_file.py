"""CSV files as rows, also as spreadsheets write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice

import pyarrow as pa

from themis_lib.data.records import (
    BATCH_ROWS,
    NUMBER,
    Record,
    Source,
    Unparsed,
    batches,
    check_distinct,
)
from themis_lib.data.text_lines import text_lines
from themis_lib.errors import DatasetError

#: The number of the line a row begins on, and its cells.
_Cells = tuple[int, list[str]]
_ROWS = pa.schema([(NUMBER, pa.int64()), ("cells", pa.large_list(pa.large_string()))])
#: Far above Python's own limit, so that a long document fits; low enough for a quote
#: that is never closed.
_LARGEST_CELL = 2**24
#: What else separates cells where no comma does: a spreadsheet's list separator where
#: the decimal one is a comma, and what is pasted from it.
_OTHER_DELIMITERS = (";", "\t")
_SAID_DELIMITER = re.compile(r"(?i:sep)=([^\"\r\n])\r?\n?")


def csv_source(
    file: Iterable[bytes],
    path: str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Source:
    """Return the rows of a CSV file, every cell a text; the first row names the columns.

    Without a `delimiter`, the first row tells it; a line before it that says one is no
    row. Columns and rows that a spreadsheet
    leaves empty are left out: several columns without a name, and lines of nothing but
    delimiters.
    """
    # The limit is the whole process's: never lower what somebody else raised.
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    lines = _Lines(text_lines(file, path, encoding))
    cells = _csv_cells(lines, path, delimiter=delimiter)
    number, header = next(cells, (0, []))
    if not header:
        raise DatasetError(f"{path}: there are no rows")
    table = _Header(header)

    def named(rows: Iterable[_Cells]) -> Iterator[Record]:
        for line, row in rows:
            try:
                yield line, table.named(row)
            except ValueError as error:
                raise DatasetError(f"{path}:{line}: {error}") from None

    def parse(
        _: Sequence[str],
        rows: pa.Table,
    ) -> Iterator[Record]:
        for batch in batches(rows):
            columns = (column.to_pylist() for column in batch.columns)
            yield from named(zip(*columns, strict=True))

    return Source(
        name=path,
        columns=check_distinct(table.columns, f"{path}:{number}"),
        records=lambda _: named(cells),
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
        blank_is_null=True,
        unparsed=Unparsed(lambda _: _row_tables(cells), parse, form=header),
    )


@dataclass(frozen=True)
class _Header:
    """The first row: the name of each column, perhaps empty."""

    names: list[str]

    @cached_property
    def columns(self) -> list[str]:
        """The columns that rows have."""
        return [name for name in self.names if name or self._has_index]

    def named(self, cells: list[str]) -> dict[str, str]:
        """Return a row's cells by column.

        Raises `ValueError` if the row has other cells than the header, but for empty
        ones at its end and for columns without a name.
        """
        cells = _without_blanks(cells, beyond=len(self.names))
        # A program that writes rows may end them before the empty columns.
        missing = self.names[len(cells) :]
        if len(cells) > len(self.names) or any(missing):
            raise ValueError(f"{len(cells)} cells under {len(self.names)} column names")
        row = {}
        for name, cell in zip(self.names, [*cells, *missing], strict=True):
            if name or self._has_index:
                row[name] = cell
            elif cell:
                raise ValueError(f"the cell {cell!r:.60} is under no column name")
        return row

    @cached_property
    def _has_index(self) -> bool:
        # A single column without a name may be the row numbers that pandas writes.
        return self.names.count("") == 1


class _Lines:
    """An iterator that remembers the line it returned last."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.last = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.last = next(self._lines)
        return self.last


def _without_blanks(
    cells: list[str],
    *,
    beyond: int,
) -> list[str]:
    """Return the cells without empty ones at the end, of which `beyond` are kept."""
    end = len(cells)
    while end > beyond and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _csv_cells(
    lines: _Lines,
    path: str,
    *,
    delimiter: str | None,
) -> Iterator[_Cells]:
    """Yield the rows that are not blank."""
    found, beginning = _read_delimiter(lines)
    lines = _Lines(chain(beginning, lines))
    delimiter = delimiter or found
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
        # `"",""` holds two texts, which are empty; `,` holds nothing.
        is_blank = len(cells) > 1 and not any(cells) and '"' not in lines.last
        if cells and not is_blank:
            yield number, cells


def _row_tables(cells: Iterator[_Cells]) -> Iterator[pa.Table]:
    while batch := list(islice(cells, BATCH_ROWS)):
        yield pa.table(list(zip(*batch, strict=True)), schema=_ROWS)


def _read_delimiter(lines: Iterator[str]) -> tuple[str, list[str]]:
    """Return what separates the column names, and the lines read to find out.

    A spreadsheet may say it on a line of its own, `sep=;`, which is left blank.
    """
    read = []
    for line in lines:
        read.append(line)
        if line.strip():
            break
    else:
        return ",", read
    said = _SAID_DELIMITER.fullmatch(line)
    if said:
        return said[1], [*read[:-1], "\n"]
    if len(next(csv.reader([line]))) < 2:
        for delimiter in _OTHER_DELIMITERS:
            if delimiter in line:
                return delimiter, read
    return ",", read
