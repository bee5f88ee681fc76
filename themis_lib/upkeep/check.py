"""The problems of a store: damaged parts, damaged runs, and rows that are missing."""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from themis_lib.errors import StoreError
from themis_lib.labels.stored_labels import is_label_path
from themis_lib.runs.inventory import (
    directories_of,
    has_tables,
    joined_keys,
    parts_by_directory,
    parts_of,
    rows_of,
)
from themis_lib.runs.manifest import (
    MANIFEST_NAME,
    Manifest,
    StageRecord,
    parse_manifest,
)
from themis_lib.runs.results import RunResult
from themis_lib.runs.run_parts import HeldPart, RunParts, content_of, parts_path
from themis_lib.storage.contents import CONTENTS_DIRECTORY
from themis_lib.storage.part_files import part_of, reader_of
from themis_lib.storage.pieces import PIECES_SUFFIX, Pieces, content_name, forms_of
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


@dataclass(frozen=True)
class _Held:
    """What a store holds that can be read: `keys` by directory, and by path the digests
    of each `columns`.
    """

    keys: dict[str, pa.Array]
    columns: dict[str, Mapping[str, str]]


def check(store: RunStore) -> Iterator[Problem]:
    """Yield every problem of a store as it is found. Read all of it, change nothing."""
    files = store.files()
    # Parts come first: runs are checked against those that can be read.
    held = _Held({}, {})
    for directory, parts in parts_by_directory(files).items():
        keys: list[pa.ChunkedArray] = []
        for part in parts:
            yield from _check_part(store, part, keys, held, advice=_REMOVE)
        held.keys[directory] = joined_keys(keys)
    yield from _check_others(store, files, held)
    yield from _check_traces(store, files)
    yield from _check_contents(store, files)
    run_ids = set()
    for file in files:
        # A name with a leading dot is of a file that is still being written.
        if file.path.startswith("runs/") and "/." not in file.path:
            run_ids.add(file.path.split("/")[1])
    for run_id in sorted(run_ids):
        yield from _check_run(store, run_id, held)


def _check_others(
    store: RunStore,
    files: Iterable[File],
    held: _Held,
) -> Iterator[Problem]:
    """Yield the problems of labels, of rows that failed in a run, and of pieces."""
    for file in files:
        path = PurePosixPath(file.path)
        if is_label_path(file.path):
            yield from _check_part(store, file, [], held, advice=_RESTORE)
        elif is_label_path(file.path.removesuffix(".damaged")):
            yield Problem(store.uri(file.path), "was set aside as damaged", _RESTORE)
        if path.parent.name == "incomplete":
            yield from _check_part(store, file, [], held, advice=_REMOVE)
        if path.suffix == PIECES_SUFFIX and not path.name.startswith("."):
            yield from _check_pieces(store, file, held)


def _check_part(
    store: RunStore,
    part: File,
    keys: list[pa.ChunkedArray],
    held: _Held,
    *,
    advice: str,
) -> Iterator[Problem]:
    """Yield the problem of a part, if any. Otherwise note its keys and its content."""
    uri = store.uri(part.path)
    # Read past the store, which would set a damaged part aside and hide it.
    try:
        source = reader_of(store.read_bytes(part.path))
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
        return
    held.columns[part.path] = recorded.columns
    if KEY.name in table.column_names:
        keys.append(table[KEY.name])


def _check_pieces(
    store: RunStore,
    shard: File,
    held: _Held,
) -> Iterator[Problem]:
    """Yield the problem of a shard that is pieces of other files, if any."""
    uri = store.uri(shard.path)
    try:
        joined = Pieces.from_bytes(store.read_bytes(shard.path))
    except FileNotFoundError:
        return  # removed since it was listed
    except ValueError as error:
        yield Problem(uri, f"cannot be read ({_first_line(error)})", _REMOVE)
        return
    for name, content in joined.files.items():
        columns = held.columns.get(str(PurePosixPath(shard.path).with_name(name)))
        if columns is None or content_name(columns) != content:
            yield Problem(uri, f"refers to rows of {name}, which are gone", _REMOVE)
            return
    held.columns[shard.path] = joined.columns


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
    held: _Held,
) -> Iterator[Problem]:
    """Yield the problems of a run: of its record, its tables, and its rows."""
    path = f"runs/{run_id}/{MANIFEST_NAME}"
    uri = store.uri(path)
    try:
        manifest = parse_manifest(store.read_bytes(path), uri)
    except FileNotFoundError:
        yield Problem(uri, "is missing", _REMOVE_RUN)
        return
    except StoreError:
        what = "is of a later version of themis-flows"
        yield Problem(uri, what, "update this one, and keep the run")
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
    held: _Held,
) -> Iterator[Problem]:
    run = RunResult(store, manifest.run_id, manifest)
    parts = None
    if manifest.tables == "parts":
        path = parts_path(run.run_id)
        advice = f"{_REMOVE_RUN}, and {_RUN_AGAIN}"
        try:
            parts = RunParts.from_bytes(store.read_bytes(path))
        except FileNotFoundError:
            yield Problem(store.uri(path), "is missing", advice)
            return
        except ValueError as error:
            what = f"cannot be read ({_first_line(error)})"
            yield Problem(store.uri(path), what, advice)
            return
    is_damaged = False
    names = list(RUN_TABLES) if parts is None else ["summary"]
    for name in names:
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
    if parts is None:
        directories = directories_of(manifest)
        for record in manifest.stages:
            directory = directories[record.stage]
            yield from _check_rows(run, record, directory, held.keys.get(directory))
        return
    cases = list(parts.of_stage("cases", None))
    yield from _check_parts(run, "cases", cases, held)
    for record in manifest.stages:
        yield from _check_parts(run, record.stage, parts_of(parts, record), held)


def _check_parts(
    run: RunResult,
    stage: str,
    parts: Sequence[HeldPart],
    held: _Held,
) -> Iterator[Problem]:
    """Yield a problem for rows of a run whose part is gone, or holds others now."""
    missing: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        columns = [held.columns.get(path) for path in forms_of(part.path)]
        contents = [content_of(found) for found in columns if found is not None]
        if part.content not in contents:
            missing[str(PurePosixPath(part.path).parent)] += part.rows
    total = sum(part.rows for part in parts)
    for directory, count in missing.items():
        what = f"lacks {count:,} of the {total:,} rows of {stage} in run {run.run_id}"
        yield Problem(run.store.uri(directory), what, _RUN_AGAIN)


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
