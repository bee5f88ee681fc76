"""Tables compared cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from themis_lib.identity.digests import canonical_json
from themis_lib.storage.tables import KEY, VOLATILE_COLUMNS
from themis_lib.verification.models import Place


@dataclass
class Cell:
    """One cell that differs, by the position of its row, and its texts where known.

    It `is_changed` if its file holds something else than in the run.
    """

    position: int
    column: str
    stored: str | None = None
    recorded: str | None = None
    computed: str | None = None
    file: str | None = None
    differs_in: list[Place] = field(default_factory=list)
    is_changed: bool = False


class Cells:
    """The cells that differ among the copies of some rows, each once."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, str], Cell] = {}

    def __iter__(self) -> Iterator[Cell]:
        return iter(sorted(self._cells.values(), key=lambda cell: cell.position))

    def at(
        self,
        position: int,
        column: str,
    ) -> Cell:
        """Return the cell of a row, noted as one that differs."""
        cell = Cell(position=position, column=column)
        return self._cells.setdefault((position, column), cell)


def differing(
    one: pa.Table,
    other: pa.Table,
) -> Iterator[tuple[int, str, str, str]]:
    """Yield position, column and both texts of each cell in which two tables differ.

    Of columns that both have, but for keys and what differs at every call. Numbers
    differ unless all of their bits are equal.
    """
    for name in one.column_names:
        if name == KEY.name or name in VOLATILE_COLUMNS:
            continue
        if name not in other.column_names or _are_equal(one[name], other[name]):
            continue
        values = zip(one[name].to_pylist(), other[name].to_pylist(), strict=True)
        for position, (old, new) in enumerate(values):
            # The text of a number tells -0.0 from 0.0, and is otherwise exact.
            if old != new or repr(old) != repr(new):
                yield position, name, cell_text(old), cell_text(new)


def _are_equal(
    column: pa.ChunkedArray,
    other: pa.ChunkedArray,
) -> bool:
    """Return whether two columns are surely equal to the bit: most are."""
    # To Arrow -0.0 equals 0.0: the few numbers of rows are looked at one by one.
    return not pa.types.is_floating(column.type) and column.equals(other)


def cell_text(value: Any) -> str:
    """Return a value of a table as text to read: JSON, but for texts.

    >>> cell_text(0.5), cell_text("a"), cell_text(None)
    ('0.5', 'a', 'null')
    """
    return value if isinstance(value, str) else canonical_json(value)
