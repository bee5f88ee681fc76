"""The parts of a run, and the files that hold something else than they held then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa

from themis_lib.runs.run_parts import HeldPart, content_of
from themis_lib.storage.pieces import PIECES_SUFFIX, Pieces, content_name, forms_of
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import column_digests


@dataclass(frozen=True)
class StoredPart:
    """A part with rows of a run: its address, and those of its `changed` files.

    None has changed if the digest of what it holds is the one in the run's record.
    `paths` are those of the files that hold its rows.
    """

    file: str
    rows: int
    paths: tuple[str, ...]
    changed: tuple[str, ...]


def stored_parts(
    store: RunStore,
    parts: Iterable[HeldPart],
) -> Iterator[StoredPart]:
    """Yield the parts of a run as they are by now, each digest computed from its values.

    A part that is gone has changed.
    """
    for part in parts:
        for path in forms_of(part.path):
            table = store.read_as_stored(path)
            if table is not None:
                yield _stored_part(store, part, path, table)
                break
        else:
            file = store.uri(part.path)
            yield StoredPart(file, part.rows, paths=(part.path,), changed=(file,))


def _stored_part(
    store: RunStore,
    part: HeldPart,
    path: str,
    table: pa.Table,
) -> StoredPart:
    """Return a part as it is by now: this table, at this path."""
    contents = _contents(store, path)
    changed: tuple[str, ...] = ()
    # What another tool wrote has no digests to compare.
    is_known = part.content != content_of({})
    if is_known and content_of(column_digests(table)) != part.content:
        changed = tuple(_changed_files(store, path, contents))
    return StoredPart(store.uri(path), part.rows, tuple(contents) or (path,), changed)


def _contents(
    store: RunStore,
    path: str,
) -> dict[str, str]:
    """Return the files that a part is pieces of, and the digest of each; else none."""
    if not path.endswith(PIECES_SUFFIX):
        return {}
    try:
        files = Pieces.from_bytes(store.read_bytes(path)).files
    except (FileNotFoundError, ValueError):
        return {}
    return {
        str(PurePosixPath(path).with_name(name)): content
        for name, content in files.items()
    }


def _changed_files(
    store: RunStore,
    path: str,
    contents: Mapping[str, str],
) -> list[str]:
    """Return the file of a part that has changed, or of its pieces those that have."""
    changed = []
    for file, content in contents.items():
        table = store.read_table(file)
        if table is None or content_name(column_digests(table)) != content:
            changed.append(store.uri(file))
    # If the files are as they were, the list of their pieces is not.
    return changed or [store.uri(path)]
