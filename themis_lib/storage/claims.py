"""Who computes a row: the writer that claims it first, while others leave it to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from themis_lib.storage.journal import Journal
from themis_lib.storage.rows import RowSet
from themis_lib.storage.tables import KEY, table_of


@dataclass(frozen=True)
class Taken:
    """What became of wanted rows: `finished` by somebody, `claimed` by the one who
    asked; and how many `others` are computing.
    """

    finished: pa.Table
    claimed: list[bytes]
    others: int


def take_rows(
    rows: RowSet,
    journal: Journal,
    wanted: Sequence[bytes],
    *,
    most: int,
) -> Taken:
    """Claim rows for the writer of a journal: the first `most` that nobody else has.

    Raise `BlockingIOError` if another process is claiming rows at this moment.
    """
    with rows.claiming():
        # Before the rows are looked for: a claim that ends in between has left its rows
        # there, and none can begin.
        others = journal.others(set(wanted))
        rows.look_again()
        _, stored = rows.find(pa.array(wanted, KEY.type))
        found = set(stored["key"].to_pylist())
        finished = {row["key"]: row for row in others.finished}
        records = [row for key, row in finished.items() if key not in found]
        left = [key for key in wanted if key not in found and key not in finished]
        free = [key for key in left if key not in others.claimed]
        claimed = free[:most]
        if claimed:
            journal.claim(claimed)
    adopted = table_of(records, rows.schema)
    return Taken(
        finished=pa.concat_tables([stored, adopted]),
        claimed=claimed,
        others=len(left) - len(free),
    )
