"""The rows of an open dataset, whatever its format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.errors import DatasetError

Row = Mapping[str, Any]
#: The number of a line and the row on it; where there are no lines, the number of the
#: row, counted from 0.
Record = tuple[int, Row]


@dataclass(frozen=True)
class Source:
    """An open file: its columns, and `records`, which reads some of them, once.

    Messages call the line or row of a record what `place` returns for its number, and
    the line with the column names `head`. With `blank_is_null`, the format cannot tell
    null from an empty text. With `is_typed`, values have types that JSON lacks, such as
    dates.
    """

    name: str
    columns: Sequence[str]
    records: Callable[[Sequence[str]], Iterator[Record]]
    head: str
    place: Callable[[int], str]
    blank_is_null: bool = False
    is_typed: bool = False


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
