"""The rows of an open dataset, whatever its format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from themis_lib.errors import DatasetError

Row = Mapping[str, Any]
#: The number of a line and the row on it; where there are no lines, the number of the
#: row, counted from 0.
Record = tuple[int, Row]


#: Rows that one table of unparsed rows has at most.
BATCH_ROWS = 4096
NUMBER = "number"


@dataclass(frozen=True)
class Unparsed:
    """The rows of a source as they are written, which is far cheaper than to parse them.

    `tables` reads them once; the column `number` has those of the records. `parse` makes
    the records of some of them. Both take the columns that are asked for. `form` is what
    else of the file the records depend on.
    """

    tables: Callable[[Sequence[str]], Iterator[pa.Table]]
    parse: Callable[[Sequence[str], pa.Table], Iterator[Record]]
    form: Sequence[str] = ()

    def over(
        self,
        needed: Callable[[Sequence[str]], Sequence[str]],
        changed: Callable[[Iterator[Record]], Iterator[Record]],
    ) -> Unparsed:
        """Return the rows read for the columns `needed`, their records `changed`."""
        return replace(
            self,
            tables=lambda columns: self.tables(needed(columns)),
            parse=lambda columns, table: changed(self.parse(needed(columns), table)),
        )


@dataclass(frozen=True)
class Source:
    """An open file: its columns, and `records`, which reads some of them, once.

    Messages call the line or row of a record what `place` returns for its number, and
    the line with the column names `head`. With `blank_is_null`, the format cannot tell
    null from an empty text. With `is_typed`, values have types that JSON lacks, such as
    dates. Where rows can be told apart before they are parsed, `unparsed` has them; of it
    and `records`, one can be read.
    """

    name: str
    columns: Sequence[str]
    records: Callable[[Sequence[str]], Iterator[Record]]
    head: str
    place: Callable[[int], str]
    blank_is_null: bool = False
    is_typed: bool = False
    unparsed: Unparsed | None = None


def batches(table: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows of a table, few enough at once to make objects of them."""
    for start in range(0, table.num_rows, BATCH_ROWS):
        yield table.slice(start, BATCH_ROWS)


def check_distinct(
    columns: list[str],
    where: str,
) -> list[str]:
    """Return the columns. Raise `DatasetError` if two of them have one name."""
    # A row is a dictionary: the second of two columns would hide the first.
    repeated = sorted(name for name, count in Counter(columns).items() if count > 1)
    if repeated:
        raise DatasetError(f"{where}: two columns are called {repeated[0]!r}")
    return columns
