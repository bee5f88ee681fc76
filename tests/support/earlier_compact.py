"""Compaction as versions did it to whose runs no part belonged: by rows alone."""

from __future__ import annotations

import pyarrow as pa

from themis_lib import RunStore
from themis_lib.storage.rows import RowSet
from themis_lib.storage.tables import KEY


def compact_as_earlier(store: RunStore) -> None:
    """Merge the rows that no newer shard has, and remove the files that had them."""
    for stage in store.list("rows"):
        if stage == "cases":
            continue
        for fingerprint in store.list(f"rows/{stage}"):
            _compact_directory(store, f"rows/{stage}/{fingerprint}")


def _compact_directory(
    store: RunStore,
    directory: str,
) -> None:
    row_set = RowSet(store, directory, pa.schema([]))
    before = row_set.names()
    held: set[bytes | None] = set()
    kept: list[str] = []
    loose: list[pa.Table] = []
    for name in reversed(before):
        table = store.read_table(f"{directory}/{name}")
        if table is None:
            continue
        keys: list[bytes | None] = table["key"].to_pylist()
        is_new = [key not in held for key in keys]
        held.update(keys)
        if 2 * sum(is_new) > len(keys) and not RowSet.is_loose(name):
            kept.append(name)
        else:
            new_rows = table.filter(pa.array(is_new, pa.bool_()))
            loose.append(new_rows.replace_schema_metadata(None))
    if loose:
        merged = pa.concat_tables(loose)
        columns = pa.schema(field for field in merged.schema if field != KEY)
        path = RowSet(store, directory, columns).save(merged)
        kept.append(path.rpartition("/")[2])
    for name in set(before) - set(kept):
        store.remove(f"{directory}/{name}")
