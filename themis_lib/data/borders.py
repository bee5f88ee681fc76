"""Borders between shards, where the content says: an edit moves those next to it alone.

A shard ends behind the row with the smallest mark among those half a size to six fifths
of a size behind its start. The same rows have the same smallest one, wherever in the
data they are. (Bjørner, Blass and Gurevich, "Content-dependent chunking for differential
compression, the local maximum approach", 2010.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from themis_lib.data.marks import Marks, Numbers, row_bytes, row_marks

#: Returns the size of a shard from the position of its first row.
SizeAt = Callable[[int], int]
#: Returns the columns of a table that say where borders are.
MarkedColumns = Callable[[pa.Table], Sequence[pa.ChunkedArray]]


def cut_by_content(
    tables: Iterable[pa.Table],
    size_at: SizeAt,
    *,
    most_bytes: int,
    marked: MarkedColumns,
) -> Iterator[pa.Table]:
    """Yield the rows of tables in shards of about the size for their position.

    The last shard may be short. A shard of more than one row holds at most `most_bytes`
    in its marked columns.
    """
    held = _Held()
    position = 0
    for table in tables:
        held.add(table, marked(table))
        while (largest := held.window(size_at(position), most_bytes)) is not None:
            taken = held.take(largest)
            position += taken.num_rows
            yield taken
    if held.rows:
        yield held.take_first(held.rows)


class _Held:
    """Rows in front of which a border is, and behind which the next one may be."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._marks: Marks = np.empty(0, np.uint64)
        self._bytes: Numbers = np.empty(0, np.int64)

    @property
    def rows(self) -> int:
        return len(self._marks)

    def add(
        self,
        table: pa.Table,
        marked: Sequence[pa.ChunkedArray],
    ) -> None:
        self._tables.append(table)
        self._marks = np.concatenate([self._marks, row_marks(marked)])
        self._bytes = np.concatenate([self._bytes, row_bytes(marked)])

    def window(
        self,
        size: int,
        most_bytes: int,
    ) -> int | None:
        """Return the most rows of the next shard; `None` if more have to be seen."""
        largest = max(6 * size // 5, 1)
        totals = np.cumsum(self._bytes[:largest])
        fitting = max(int(np.searchsorted(totals, most_bytes, side="right")), 1)
        if fitting < len(totals):
            return fitting
        return largest if self.rows > largest else None

    def take(self, largest: int) -> pa.Table:
        """Remove and return the next shard, of at most so many rows."""
        # Half a size, and less where few rows fit.
        smallest = math.ceil(5 * largest / 12)
        last = int(np.argmin(self._marks[smallest - 1 : largest]))
        return self.take_first(smallest + last)

    def take_first(self, count: int) -> pa.Table:
        """Remove and return so many rows."""
        whole = pa.concat_tables(self._tables)
        self._tables = [whole.slice(count)] if count < self.rows else []
        self._marks = self._marks[count:]
        self._bytes = self._bytes[count:]
        return whole.slice(0, count)
