"""Compaction of a store: fewer and fuller files, the same rows.

Interrupted runs leave small files, and edited datasets leave shards whose rows newer
shards hold too. Compaction keeps the parts that runs refer to and the newest complete
shards, and merges the rows that only other files hold. Run it while no run writes to the
store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa

from themis_lib.labels.stored_labels import LABELS_DIRECTORY
from themis_lib.runs.inventory import CASES_DIRECTORY, runs_in
from themis_lib.runs.results import RunResult
from themis_lib.storage.compact_guard import GUARD
from themis_lib.storage.pieces import PIECES_SUFFIX, Pieces, forms_of
from themis_lib.storage.rows import RowSet
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY


@dataclass(frozen=True)
class Compaction:
    """The outcome for the rows of one stage under one fingerprint."""

    directory: str
    files_before: int
    files_after: int
    rows: int


def compact(store: RunStore) -> Iterator[Compaction]:
    """Compact every stage of a store and its labels, and yield the outcome by directory.

    Raise `StoreError` if the record of a run, or of its parts, cannot be read: they could
    not be told from others.
    """
    referred = _referred_parts(store)
    for stage in store.list("rows"):
        # Parts of cases have no keys: each is named by its content, and read whole.
        if f"rows/{stage}" in (CASES_DIRECTORY, GUARD):
            continue
        for fingerprint in store.list(f"rows/{stage}"):
            yield _compact_directory(store, f"rows/{stage}/{fingerprint}", referred)
    # Each label is written as it is given, in a file.
    if store.list(LABELS_DIRECTORY):
        yield _compact_directory(store, LABELS_DIRECTORY, referred)


def _referred_parts(store: RunStore) -> set[str]:
    """Return the paths of the parts that runs refer to, and of those these refer to."""
    paths: set[str] = set()
    for manifest in runs_in(store, store.files("runs")):
        parts = RunResult(store, manifest.run_id, manifest).parts
        if parts is not None:
            for path in parts.paths:
                paths.update(forms_of(path))
    for path in [path for path in paths if path.endswith(PIECES_SUFFIX)]:
        # What cannot be read is for the next run to compute again.
        with contextlib.suppress(FileNotFoundError, ValueError):
            names = Pieces.from_bytes(store.read_bytes(path)).files
            paths.update(str(PurePosixPath(path).with_name(name)) for name in names)
    return paths


def _compact_directory(
    store: RunStore,
    directory: str,
    referred: Container[str],
) -> Compaction:
    """Keep parts of runs and shards that are mostly new, merge the other rows, and
    remove the rest.
    """
    row_set = RowSet(store, directory, pa.schema([]))
    before = row_set.names()
    held: set[bytes | None] = set()
    kept: list[str] = []
    loose: list[pa.Table] = []
    # What runs refer to comes first: other files are for the rows that it lacks. Then
    # the newest: those are the shards that a run will ask for by name.
    in_turn = before[::-1]
    in_turn.sort(key=lambda name: f"{directory}/{name}" not in referred)
    for name in in_turn:
        table = store.read_table(f"{directory}/{name}")
        if table is None:
            continue
        keys: list[bytes | None] = table["key"].to_pylist()
        is_new = [key not in held for key in keys]
        held.update(keys)
        # A shard with few new rows is not worth a file: a run can put it together.
        is_mostly_new = 2 * sum(is_new) > len(keys) and not RowSet.is_loose(name)
        if is_mostly_new or f"{directory}/{name}" in referred:
            kept.append(name)
        else:
            new_rows = table.filter(pa.array(is_new, pa.bool_()))
            # Metadata has the digests of a part's columns, which no longer fit.
            loose.append(new_rows.replace_schema_metadata(None))
    merged = _merge_rows(loose)
    if merged is not None:
        # The row set adds the key to the columns itself.
        schema = merged.schema.remove(0)
        path = RowSet(store, directory, schema).save(merged)
        kept.append(path.rpartition("/")[2])
    # Before the files whose rows they are pieces of.
    for name in store.list(directory):
        path = f"{directory}/{name}"
        if name.endswith(PIECES_SUFFIX) and path not in referred:
            store.remove(path)
    # Removed last, so that a compaction that is interrupted loses no row.
    for name in set(before) - set(kept):
        store.remove(f"{directory}/{name}")
    return Compaction(
        directory,
        files_before=len(before),
        files_after=len(kept),
        rows=len(held - {None}),
    )


def _merge_rows(tables: list[pa.Table]) -> pa.Table | None:
    """Return tables as one with each key once; `None` if no row has a key.

    Rows without a key hold an earlier stage's error, which a run carries over anew.
    """
    if not any(table.num_rows for table in tables):
        return None
    # Parts of an earlier version may lack a column.
    table = pa.concat_tables(tables, promote_options="default")
    first: dict[bytes, int] = {}
    for position, key in enumerate(table[KEY.name].to_pylist()):
        if key is not None:
            first.setdefault(key, position)
    if not first:
        return None
    positions = pa.array(first.values(), pa.int64())
    return table.take(positions)
