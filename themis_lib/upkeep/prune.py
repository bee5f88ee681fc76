"""Unused files of a store: rows that no run refers to, and remains of interrupted runs.

Removing them is safe while runs write: files younger than a few hours stay, and so does
every row under a fingerprint of a run in flight, even of one that begins meanwhile.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import StoreError
from themis_lib.labels.stored_labels import LABELS_DIRECTORY
from themis_lib.runs.inventory import (
    CASES_DIRECTORY,
    References,
    directories_of,
    parts_by_directory,
    record_at,
    references,
    runs_in,
)
from themis_lib.runs.manifest import MANIFEST_NAME, Manifest, RunStatus
from themis_lib.storage.contents import (
    CONTENTS_DIRECTORY,
    content_path,
    digests_in,
)
from themis_lib.storage.part_files import PART_SUFFIX
from themis_lib.storage.pieces import PIECES_SUFFIX
from themis_lib.storage.store import File, RunStore
from themis_lib.storage.traces import is_trace_path, traced_directory

#: Suffixes of files that were set aside as damaged, or whose writing never ended.
_LEFT_BEHIND = (".damaged", ".tmp", ".new")
#: What writers of a directory hold, and leave there.
_LOCK = ".lock"
#: Rows of the summary are small, and no run refers to them by key.
_SUMMARIES = "rows/summary/"
#: How long files are removed before somebody looks for runs that began meanwhile.
_LOOK_S = 1.0


@dataclass(frozen=True)
class Unused:
    """Unused files of one directory, and the reason."""

    directory: str
    why: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """The bytes that removing them frees."""
        return sum(file.bytes for file in self.files)


def unused(
    store: RunStore,
    *,
    older_than_s: float,
) -> list[Unused]:
    """Return what can be removed, all of it older than `older_than_s` seconds.

    Raise `StoreError` if the record or a table of a run cannot be read, since its rows
    could not be told from unused ones.
    """
    limit = time.time() - older_than_s
    # Listed before the runs are read: a run that begins later has no listed file.
    files = store.files()
    runs = runs_in(store, files)
    referred = _references(store, runs)
    found = [
        *_unused_rows(store, files, referred),
        *_unused_pieces(files, referred),
        *_unused_cases(files, runs),
    ]
    unused_rows = _only_older(found, limit)
    # Results of tasks go with the rows they point to.
    remaining = {file.path for file in files}
    for item in unused_rows:
        remaining.difference_update(file.path for file in item.files)
    left_behind = [
        *_unused_contents(store, files, runs, remaining),
        *_unused_traces(remaining, files, runs),
        *_left_behind(store, files, runs, remaining, referred),
    ]
    return unused_rows + _only_older(left_behind, limit)


def _only_older(
    items: Iterable[Unused],
    limit: float,
) -> list[Unused]:
    """Return items with only the files written before `limit`, without empty ones."""
    older = []
    for item in items:
        files = tuple(file for file in item.files if file.written < limit)
        if files:
            older.append(replace(item, files=files))
    return older


def remove(
    store: RunStore,
    items: Iterable[Unused],
    *,
    known: Iterable[str],
) -> Iterator[Unused]:
    """Remove files, and yield what was removed.

    Directories that a newer run may need are left out. `known` has the ids of the runs
    that there were when `items` were found. Raise `StoreError` if the record of a newer
    one cannot be read.
    """
    newer = _NewerRuns(store, known)
    for item in items:
        newer.look()
        removed = []
        for file in item.files:
            # A folder may have many files, and a run may begin before its last is gone.
            if newer.looked_at < time.monotonic() - _LOOK_S:
                newer.look()
            if newer.need(item.directory):
                break
            store.remove(file.path)
            removed.append(file)
        if removed:
            yield replace(item, files=tuple(removed))


class _NewerRuns:
    """Runs that are not `known`: one may begin at any time, and find rows that no run
    needed before.

    `looked_at` is the time of the last look, by the monotonic clock.
    """

    def __init__(
        self,
        store: RunStore,
        known: Iterable[str],
    ) -> None:
        self.looked_at = 0.0
        self._store = store
        self._seen = set(known)
        self._needed: set[str] = set()

    def look(self) -> None:
        """Look for runs. Raise `StoreError` if the record of one cannot be read."""
        for run_id in set(self._store.list("runs")) - self._seen:
            try:
                manifest = record_at(self._store, f"runs/{run_id}/{MANIFEST_NAME}")
            except (FileNotFoundError, NotADirectoryError):
                continue  # its record may be about to be written
            self._needed.update([CASES_DIRECTORY, CONTENTS_DIRECTORY, f"runs/{run_id}"])
            self._needed.update(_directories_needed(manifest))
            self._seen.add(run_id)
        self.looked_at = time.monotonic()

    def need(self, directory: str) -> bool:
        """Return whether one of those seen may need the files of a directory."""
        return traced_directory(directory) in self._needed


def _references(
    store: RunStore,
    runs: list[Manifest],
) -> References:
    """Return what runs refer to. Raise `StoreError` if one of them cannot tell."""
    try:
        return references(store, runs)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"store {store.public_url!r}: a table of a run cannot be read ({error}); "
            "check the store"
        ) from None


def _unused_rows(
    store: RunStore,
    files: Iterable[File],
    referred: References,
) -> Iterator[Unused]:
    """Yield rows that no run refers to, by directory."""
    for directory, parts in parts_by_directory(files).items():
        if directory == CASES_DIRECTORY or directory.startswith(_SUMMARIES):
            continue
        if directory in referred.whole:
            continue
        if directory not in referred.keys:
            yield Unused(directory, "no run has this fingerprint", tuple(parts))
            continue
        # A part goes whole or stays whole: parts are never written again.
        dead = []
        for part in parts:
            if part.path in referred.paths:
                continue
            held = store.read_keys(part.path)
            # A part that cannot be read is kept, so that `check` can report it.
            if held is None:
                continue
            known = referred.keys[directory]
            is_referred = pc.is_in(held.drop_null(), value_set=known)
            if not pc.any(is_referred).as_py():
                dead.append(part)
        yield Unused(directory, "no run has any of these rows", tuple(dead))


def _unused_pieces(
    files: Iterable[File],
    referred: References,
) -> Iterator[Unused]:
    """Yield shards that are pieces of other files and that no run refers to."""
    pieces: defaultdict[str, list[File]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        is_kept = str(path.parent) in referred.whole or file.path in referred.paths
        if path.suffix == PIECES_SUFFIX and not is_kept:
            pieces[str(path.parent)].append(file)
    for directory, dead in pieces.items():
        yield Unused(directory, "no run has these shards", tuple(dead))


def _unused_traces(
    remaining: Container[str],
    files: Iterable[File],
    runs: Iterable[Manifest],
) -> Iterator[Unused]:
    """Yield what rows depended on that are all gone, by directory.

    A row without its trace would be taken for one that depends on nothing.
    """
    needed: set[str] = set()
    for manifest in runs:
        needed.update(_directories_needed(manifest))
    traces: defaultdict[str, list[File]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        if is_trace_path(file.path):
            traces[str(path.parent)].append(file)
        elif file.path in remaining and path.name != _LOCK:
            needed.add(str(path.parent))
    for directory, dead in traces.items():
        if traced_directory(directory) not in needed:
            yield Unused(
                directory, "the rows that depended on it are gone", tuple(dead)
            )


def _directories_needed(manifest: Manifest) -> Iterator[str]:
    """Yield the directories of a run's rows, and those whose traces led to them."""
    yield from directories_of(manifest).values()
    for record in manifest.stages:
        yield from record.traced_in


def _unused_cases(
    files: Iterable[File],
    runs: Iterable[Manifest],
) -> Iterator[Unused]:
    """Yield cases that no run has: they are read from their datasets again if needed."""
    used: set[str] = set()
    for manifest in runs:
        # A run lists its cases when it ends: until then, any may be its.
        if manifest.status is RunStatus.RUNNING:
            return
        used.update(manifest.cases)
    dead = []
    for file in files:
        path = PurePosixPath(file.path)
        is_case_part = (
            str(path.parent) == CASES_DIRECTORY and path.suffix == PART_SUFFIX
        )
        if is_case_part and file.path not in used:
            dead.append(file)
    yield Unused(CASES_DIRECTORY, "no run has any of these cases", tuple(dead))


def _unused_contents(
    store: RunStore,
    files: Iterable[File],
    runs: Iterable[Manifest],
    remaining: Container[str],
) -> Iterator[Unused]:
    """Yield files that were read for cases which are all gone."""
    # Its cases may be about to be written.
    if any(manifest.status is RunStatus.RUNNING for manifest in runs):
        return
    directory = PurePosixPath(CONTENTS_DIRECTORY)
    contents = [file for file in files if PurePosixPath(file.path).parent == directory]
    if not contents:
        return
    used: set[str] = set()
    for part in parts_by_directory(files).get(CASES_DIRECTORY, []):
        table = store.read_table(part.path) if part.path in remaining else None
        if table is not None:
            used.update(map(content_path, digests_in(table["input"].to_pylist())))
    dead = [file for file in contents if file.path not in used]
    yield Unused(CONTENTS_DIRECTORY, "no case has these files", tuple(dead))


def _left_behind(
    store: RunStore,
    files: Iterable[File],
    runs: Iterable[Manifest],
    remaining: Container[str],
    referred: References,
) -> Iterator[Unused]:
    """Yield what runs left behind, by directory and reason.

    `remaining` has the paths of the files that stay.
    """
    running = set()
    for manifest in runs:
        if manifest.status is RunStatus.RUNNING:
            running.add(manifest.run_id)
    found: defaultdict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        # Rows that failed are a run's own, and its tables need them.
        if file.path in referred.paths:
            continue
        reason = _reason_left(store, file, running, remaining)
        if reason is not None:
            directory = str(PurePosixPath(file.path).parent)
            found[directory, reason].append(file)
    for (directory, reason), dead in found.items():
        yield Unused(directory, reason, tuple(dead))


def _reason_left(
    store: RunStore,
    file: File,
    running: Collection[str],
    remaining: Container[str],
) -> str | None:
    """Return why nobody needs a file that is no row; `None` if somebody may."""
    path = PurePosixPath(file.path)
    room = path.parts[0]
    # A damaged label may still be read by hand: nothing computes it again.
    if room == LABELS_DIRECTORY:
        return "never finished" if path.suffix == ".tmp" else None
    # While any run is in flight, an unfinished file may be the one it is writing.
    if path.suffix in _LEFT_BEHIND and not running:
        return "set aside as damaged, or never finished"
    if room == "runs" and path.parent.name == "incomplete":
        is_running = path.parts[1] in running
        return None if is_running else "rows that failed in a run that has ended"
    if room == "tasks" and _result_path(store, file) not in remaining:
        return "results of tasks whose rows are gone"
    return None


def _result_path(
    store: RunStore,
    file: File,
) -> str | None:
    """Return the path of the rows that a task's result points to.

    `None` if the result cannot be read: then no task can use it either.
    """
    try:
        record = json.loads(store.read_bytes(file.path))
        # The orchestrator's record holds the result as JSON text inside JSON.
        result = json.loads(record["result"])
        return str(result["path"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
