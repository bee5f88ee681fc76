"""The parts of a run, and the files that hold something else than they held then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from themis_lib.runs.run_parts import HeldPart, content_of
from themis_lib.storage.pieces import PIECES_SUFFIX, Pieces, content_name
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
        table = store.read_as_stored(part.path)
        contents = _contents(store, part.path)
        changed: tuple[str, ...] = ()
        # What another tool wrote has no digests to compare.
        is_known = part.content != content_of({})
        if table is None:
            changed = (store.uri(part.path),)
        elif is_known and content_of(column_digests(table)) != part.content:
            changed = tuple(_changed_files(store, part.path, contents))
        file = store.uri(part.path)
        yield StoredPart(file, part.rows, tuple(contents) or (part.path,), changed)


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
