"""Compaction: fewer and fuller files, the same rows.

Interrupted runs leave small files, and edited datasets leave shards whose rows newer
shards hold too. Compaction keeps the newest complete shards and merges what only other
files hold. Run it while no run writes to the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from themis_lib.storage.rows import RowSet
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY


@dataclass(frozen=True)
class Compaction:
    """What was done to the rows of one stage under one fingerprint."""

    directory: str
    files_before: int
    files_after: int
    rows: int


def compact(store: RunStore) -> Iterator[Compaction]:
    """Compact every stage of a store, one fingerprint at a time."""
    for stage in store.list("rows"):
        if stage != "cases":  # named by content alone: nothing to merge
            for fingerprint in store.list(f"rows/{stage}"):
                yield _compact_directory(store, f"rows/{stage}/{fingerprint}")


def _compact_directory(
    store: RunStore,
    directory: str,
) -> Compaction:
    row_set = RowSet(store, directory, pa.schema([]))
    before = row_set.names()
    held: set[bytes] = set()
    kept: list[str] = []
    pieces: list[pa.Table] = []
    for name in reversed(
        before
    ):  # newest first: its shards are those that a run will ask for
        table = store.read_table(f"{directory}/{name}")
        if table is None:
            continue
        keys = table["key"].to_pylist()
        own = [key not in held for key in keys]
        held.update(keys)
        if not RowSet.is_loose(name) and 2 * sum(own) > len(own):
            kept.append(name)
        else:
            pieces.append(
                table.filter(pa.array(own, pa.bool_())).replace_schema_metadata(None)
            )
    merged = _merge_loose_rows(pieces)
    if merged is not None:
        kept.append(
            RowSet(store, directory, merged.schema.remove(0))
            .save(merged)
            .rpartition("/")[2]
        )
    for name in set(before) - set(kept):
        store.remove(f"{directory}/{name}")
    return Compaction(
        directory,
        len(before),
        len(kept),
        len(held - {None}),
    )


def _merge_loose_rows(pieces: list[pa.Table]) -> pa.Table | None:
    """Loose rows as one table, each key once, rows without a key left out."""
    if not any(piece.num_rows for piece in pieces):
        return None
    table = pa.concat_tables(pieces)
    first: dict[bytes | None, int] = {}
    for position, key in enumerate(table[KEY.name].to_pylist()):
        first.setdefault(key, position)
    first.pop(None, None)
    return table.take(pa.array(first.values(), pa.int64())) if first else None
