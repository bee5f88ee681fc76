"""The problems of a store: damaged parts, damaged runs, and rows that are missing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from themis_lib.labels.stored_labels import is_label_path
from themis_lib.runs.inventory import (
    directories_of,
    has_tables,
    joined_keys,
    parts_by_directory,
    rows_of,
)
from themis_lib.runs.manifest import (
    MANIFEST_NAME,
    Manifest,
    StageRecord,
    parse_manifest,
)
from themis_lib.runs.results import RunResult
from themis_lib.storage.contents import CONTENTS_DIRECTORY
from themis_lib.storage.part_files import part_of
from themis_lib.storage.store import File, RunStore
from themis_lib.storage.tables import KEY, RUN_TABLES, column_digests
from themis_lib.storage.traces import is_trace_path, parse_trace

_REMOVE = "remove the file; the next run that needs its rows computes them again"
_RESTORE = "restore it from a copy, or remove it: labels cannot be computed again"
_REMOVE_RUN = "remove the folder of this run"
_RUN_AGAIN = "run its experiment again, which computes what is missing"


@dataclass(frozen=True)
class Problem:
    """A fault of a file or folder, and what to do about it."""

    uri: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.uri}: {self.what}; {self.advice}"


def check(store: RunStore) -> Iterator[Problem]:
    """Yield every problem of a store as it is found. Read all of it, change nothing."""
    files = store.files()
    # Parts come first: runs are checked against the keys that can be read.
    held: dict[str, pa.Array] = {}
    for directory, parts in parts_by_directory(files).items():
        keys: list[pa.ChunkedArray] = []
        for part in parts:
            yield from _check_part(store, part, keys, advice=_REMOVE)
        held[directory] = joined_keys(keys)
    for file in files:
        if is_label_path(file.path):
            yield from _check_part(store, file, [], advice=_RESTORE)
        elif is_label_path(file.path.removesuffix(".damaged")):
            yield Problem(store.uri(file.path), "was set aside as damaged", _RESTORE)
    yield from _check_traces(store, files)
    yield from _check_contents(store, files)
    run_ids = set()
    for file in files:
        # A name with a leading dot is of a file that is still being written.
        if file.path.startswith("runs/") and "/." not in file.path:
            run_ids.add(file.path.split("/")[1])
    for run_id in sorted(run_ids):
        yield from _check_run(store, run_id, held)


def _check_part(
    store: RunStore,
    part: File,
    keys: list[pa.ChunkedArray],
    *,
    advice: str,
) -> Iterator[Problem]:
    """Yield the problem of a part, if any. Otherwise add its keys to `keys`."""
    uri = store.uri(part.path)
    # Read past the store, which would set a damaged part aside and hide it.
    try:
        source = pa.BufferReader(store.read_bytes(part.path))
        table = pq.read_table(source, page_checksum_verification=True)
    except FileNotFoundError:
        return  # removed since it was listed
    except (pa.ArrowException, OSError) as error:
        yield Problem(uri, f"cannot be read ({_first_line(error)})", advice)
        return
    # A part that was replaced by another has valid checksums, but other digests.
    recorded = part_of(part.path, table)
    if recorded.columns != column_digests(table):
        yield Problem(uri, "does not hold what was written to it", advice)
    elif KEY.name in table.column_names:
        keys.append(table[KEY.name])


def _check_traces(
    store: RunStore,
    files: Iterable[File],
) -> Iterator[Problem]:
    """Yield a problem for what rows depend on where it cannot be read."""
    for file in files:
        if (
            is_trace_path(file.path)
            and parse_trace(store.read_bytes(file.path)) is None
        ):
            advice = "the next run that needs its rows computes them again"
            yield Problem(store.uri(file.path), "cannot be read", advice)


def _check_contents(
    store: RunStore,
    files: Iterable[File],
) -> Iterator[Problem]:
    """Yield a problem for a file of a case that does not hold what its name says."""
    for file in files:
        directory, _, sha256 = file.path.rpartition("/")
        # A name with a dot is of a file that is still being written.
        if directory != CONTENTS_DIRECTORY or "." in sha256:
            continue
        with contextlib.suppress(FileNotFoundError):
            content = store.read_bytes(file.path)
            if hashlib.sha256(content).hexdigest() != sha256:
                advice = "remove the file; the next run with its data writes it again"
                uri = store.uri(file.path)
                yield Problem(uri, "does not hold what was written to it", advice)


def _check_run(
    store: RunStore,
    run_id: str,
    held: dict[str, pa.Array],
) -> Iterator[Problem]:
    """Yield the problems of a run: of its record, its tables, and its rows."""
    path = f"runs/{run_id}/{MANIFEST_NAME}"
    uri = store.uri(path)
    try:
        manifest = parse_manifest(store.read_bytes(path))
    except FileNotFoundError:
        yield Problem(uri, "is missing", _REMOVE_RUN)
        return
    except ValueError as error:
        yield Problem(uri, f"cannot be read ({_first_line(error)})", _REMOVE_RUN)
        return
    if not has_tables(manifest):
        return  # in flight, or stopped before its tables were written
    yield from _check_tables(store, manifest, held)


def _check_tables(
    store: RunStore,
    manifest: Manifest,
    held: dict[str, pa.Array],
) -> Iterator[Problem]:
    run = RunResult(store, manifest.run_id, manifest)
    is_damaged = False
    for name in RUN_TABLES:
        try:
            run.table(name)
        except (pa.ArrowException, OSError) as error:
            is_damaged = True
            uri = store.uri(f"runs/{manifest.run_id}/{name}.parquet")
            what = f"cannot be read ({_first_line(error)})"
            yield Problem(uri, what, f"{_REMOVE_RUN}, and {_RUN_AGAIN}")
    # Rows that a damaged table had would all be reported once more.
    if is_damaged:
        return
    directories = directories_of(manifest)
    for record in manifest.stages:
        directory = directories[record.stage]
        yield from _check_rows(run, record, directory, held.get(directory))


def _check_rows(
    run: RunResult,
    record: StageRecord,
    directory: str,
    held: pa.Array | None,
) -> Iterator[Problem]:
    """Yield a problem for rows missing in a run's table, and for keys missing in the
    store.

    `held` are the keys of the parts in `directory`; `None` without parts.
    """
    rows = rows_of(run, record)
    if rows.num_rows != record.rows:
        what = f"{record.stage} has {rows.num_rows:,} of {record.rows:,} rows"
        yield Problem(run.location, what, f"{_REMOVE_RUN}, and {_RUN_AGAIN}")
    # A row that failed is in the run's table alone: the store never keeps it.
    if record.failed:
        rows = rows.filter(rows["error"].is_null())
    keys = joined_keys([rows["key"]])
    missing = len(keys)
    if held is not None:
        is_held = pc.is_in(keys, value_set=held)
        # The sum of no values is null.
        missing -= pc.sum(is_held).as_py() or 0
    if missing:
        what = (
            f"lacks {missing:,} of the {len(keys):,} rows of {record.stage} "
            f"in run {run.run_id}"
        )
        advice = f"the run's own tables have them; {_RUN_AGAIN} for others"
        yield Problem(run.store.uri(directory), what, advice)


def _first_line(error: Exception) -> str:
    """Return the first line of a message, or the kind of an error that has none."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
