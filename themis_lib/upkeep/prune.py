"""Prunes a store: removes rows that no run refers to, and what interrupted runs left
behind.

Safe while runs write: files younger than a few hours stay, and so does every row under
a fingerprint of a run that is under way, also of one that begins while files are
removed.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import StoreError
from themis_lib.runs.inventory import (
    CASES_DIRECTORY,
    PART_SUFFIX,
    directories_of,
    parts_by_directory,
    references,
)
from themis_lib.runs.manifest import MANIFEST_NAME, Manifest, RunStatus, parse_manifest
from themis_lib.storage.store import File, RunStore

_LEFT_BEHIND = (".damaged", ".tmp", ".new")
_SUMMARIES = "rows/summary/"


@dataclass(frozen=True)
class Unused:
    """Files of one directory that nobody needs, and why."""

    directory: str
    why: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """What removing them frees."""
        return sum(file.bytes for file in self.files)


def unused(
    store: RunStore,
    *,
    older_than_s: float,
) -> list[Unused]:
    """What can be removed, none of it written in the last `older_than_s` seconds.

    Raises `StoreError` where the record of a run cannot be read, since its rows could
    not be told from the others.
    """
    limit = time.time() - older_than_s
    files = store.files()
    runs = _read_runs(store, files)
    rows = _keep_older(
        [*_unused_rows(store, files, runs), *_unused_cases(files, runs)], limit
    )
    gone = {file.path for item in rows for file in item.files}
    return rows + _keep_older(
        _left_behind(
            store,
            files,
            runs,
            gone,
        ),
        limit,
    )


def _keep_older(
    items: Iterable[Unused],
    limit: float,
) -> list[Unused]:
    old = [
        replace(item, files=tuple(file for file in item.files if file.written < limit))
        for item in items
    ]
    return [item for item in old if item.files]


def remove(
    store: RunStore,
    items: Iterable[Unused],
    *,
    known: Iterable[str],
) -> Iterator[Unused]:
    """Remove files, but for those that a run which has begun since may need; `known`
    names the runs there were before.

    Hands over what was removed.
    """
    seen = set(known)
    needed: set[str] = set()
    for item in items:
        begun = set(store.list("runs")) - seen
        for run_id in begun:
            needed.update(_needed_by(store, run_id))
        seen |= begun
        if item.directory in needed:
            continue
        for file in item.files:
            store.remove(file.path)
        yield item


def _needed_by(
    store: RunStore,
    run_id: str,
) -> set[str]:
    try:
        manifest = parse_manifest(store.read_bytes(f"runs/{run_id}/{MANIFEST_NAME}"))
    except (FileNotFoundError, ValueError):
        return set()
    return {CASES_DIRECTORY, f"runs/{run_id}", *directories_of(manifest).values()}


def _read_runs(
    store: RunStore,
    files: Iterable[File],
) -> list[Manifest]:
    runs = []
    for file in files:
        path = PurePosixPath(file.path)
        if path.parts[0] == "runs" and path.name == MANIFEST_NAME:
            try:
                runs.append(parse_manifest(store.read_bytes(file.path)))
            except ValueError:
                raise StoreError(
                    f"{store.uri(file.path)} cannot be read; remove the folder of this "
                    f"run to give up its rows"
                ) from None
    return runs


def _unused_rows(
    store: RunStore,
    files: Iterable[File],
    runs: list[Manifest],
) -> Iterator[Unused]:
    try:
        keys, whole = references(store, runs)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"store {store.url!r}: a table of a run cannot be read ({error}); check the store"
        ) from None
    for directory, parts in parts_by_directory(files).items():
        if (
            directory in whole
            or directory == CASES_DIRECTORY
            or directory.startswith(_SUMMARIES)
        ):
            continue
        if directory not in keys:
            yield Unused(directory, "no run has this fingerprint", tuple(parts))
        else:
            dead = tuple(
                part for part in parts if not _is_needed(store, part, keys[directory])
            )
            yield Unused(directory, "no run has any of these rows", dead)


def _is_needed(
    store: RunStore,
    part: File,
    referred: pa.Array,
) -> bool:
    """Whether a run has a row of a part; one that cannot be read stays, for `check` to
    report.
    """
    keys = store.read_keys(part.path)
    return keys is None or bool(
        pc.any(pc.is_in(keys.drop_null(), value_set=referred)).as_py()
    )


def _unused_cases(
    files: Iterable[File],
    runs: Iterable[Manifest],
) -> Iterator[Unused]:
    """Cases that no run has; they are read from their datasets again when they are
    needed.
    """
    if any(manifest.status is RunStatus.RUNNING for manifest in runs):
        return
    used = {path for manifest in runs for path in manifest.cases}
    cases = [
        file
        for file in files
        if str(PurePosixPath(file.path).parent) == CASES_DIRECTORY
    ]
    dead = tuple(
        file
        for file in cases
        if file.path.endswith(PART_SUFFIX) and file.path not in used
    )
    yield Unused(CASES_DIRECTORY, "no run has any of these cases", dead)


def _left_behind(
    store: RunStore,
    files: Iterable[File],
    runs: Iterable[Manifest],
    gone: set[str],
) -> Iterator[Unused]:
    running = {
        manifest.run_id for manifest in runs if manifest.status is RunStatus.RUNNING
    }
    present = {file.path for file in files} - gone
    found: defaultdict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        if path.suffix in _LEFT_BEHIND and not running:
            found[str(path.parent), "set aside as damaged, or never finished"].append(
                file
            )
        elif (
            path.parts[0] == "runs"
            and path.parent.name == "incomplete"
            and path.parts[1] not in running
        ):
            found[str(path.parent), "rows that failed in a run that has ended"].append(
                file
            )
        elif path.parts[0] == "tasks" and _result_path(store, file) not in present:
            found[str(path.parent), "results of tasks whose rows are gone"].append(file)
    for (directory, why), dead in found.items():
        yield Unused(directory, why, tuple(dead))


def _result_path(
    store: RunStore,
    file: File,
) -> str | None:
    """Where the rows lie that a task's result refers to; null where it cannot be read."""
    try:
        return str(
            json.loads(json.loads(store.read_bytes(file.path))["result"])["path"]
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
