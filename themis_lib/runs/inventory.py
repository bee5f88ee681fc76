"""What a store holds: its files, and the rows that its runs refer to.

A run refers to rows by the fingerprints of its stages and, once it has ended, by the
parts that hold them, or by the keys in the tables of an earlier version. While it is
under way, or where it left no tables, it is taken to refer to every row under its
fingerprints.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import StoreError
from themis_lib.runs.manifest import (
    MANIFEST_NAME,
    Manifest,
    RunStatus,
    StageRecord,
    parse_manifest,
)
from themis_lib.runs.results import RunResult
from themis_lib.runs.run_parts import HeldPart, RunParts
from themis_lib.storage.part_files import PART_SUFFIX
from themis_lib.storage.pieces import forms_of
from themis_lib.storage.store import File, RunStore
from themis_lib.storage.tables import KEY

# Cases are named by content alone, so that they have no fingerprint.
CASES_DIRECTORY = "rows/cases"
#: The table of a run that holds the rows of a stage.
TABLE_OF = {
    "generate": "outputs",
    "parse": "answers",
    "judge": "verdicts",
    "score": "scores",
    "reduce": "results",
}
#: The column that tells the rows of one stage from those of the others in the same
#: table; its value is in brackets in the stage's label.
ID_OF = {"score": "metric_id", "judge": "judge_id"}


@dataclass(frozen=True)
class Holding:
    """The rows of one stage under one fingerprint, and the runs that have them, in the
    order in which they were given.
    """

    directory: str
    files: int
    rows: int
    bytes: int
    runs: tuple[str, ...]

    @property
    def stage(self) -> str:
        """The stage whose rows these are."""
        return PurePosixPath(self.directory).parts[1]

    @property
    def fingerprint(self) -> str:
        """The fingerprint; empty for cases, which are named by content alone."""
        return "".join(PurePosixPath(self.directory).parts[2:])


def parts_by_directory(files: Iterable[File]) -> dict[str, list[File]]:
    """Return the parts of rows, by their directory: stage and fingerprint."""
    parts: defaultdict[str, list[File]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        is_part = path.parts[0] == "rows" and path.suffix == PART_SUFFIX
        # A name with a leading dot is of a part that is still being written.
        if is_part and not path.name.startswith("."):
            parts[str(path.parent)].append(file)
    return dict(parts)


def holdings(
    store: RunStore,
    files: Iterable[File],
    runs: Iterable[Manifest],
) -> list[Holding]:
    """Return what there is by stage and fingerprint.

    Rows are counted in the footers of the files.
    """
    referring: defaultdict[str, list[str]] = defaultdict(list)
    for manifest in runs:
        directories = set(directories_of(manifest).values())
        if manifest.cases:
            directories.add(CASES_DIRECTORY)
        for directory in directories:
            referring[directory].append(manifest.run_id)
    found = []
    for directory, parts in sorted(parts_by_directory(files).items()):
        holding = Holding(
            directory=directory,
            files=len(parts),
            rows=sum(store.count_rows(part.path) for part in parts),
            bytes=sum(part.bytes for part in parts),
            runs=tuple(referring[directory]),
        )
        found.append(holding)
    return found


def runs_in(
    store: RunStore,
    files: Iterable[File],
) -> list[Manifest]:
    """Return the records of all runs. Raise `StoreError` for one that cannot be read."""
    runs = []
    for file in files:
        path = PurePosixPath(file.path)
        if path.parts[0] == "runs" and path.name == MANIFEST_NAME:
            runs.append(record_at(store, file.path))
    return runs


def record_at(
    store: RunStore,
    path: str,
) -> Manifest:
    """Return the record of a run in a file. Raise `StoreError` if it cannot be read."""
    uri = store.uri(path)
    try:
        return parse_manifest(store.read_bytes(path), uri)
    except StoreError:
        raise
    except ValueError:
        raise StoreError(
            f"{uri} cannot be read; remove the folder of this run to give up its rows"
        ) from None


def directories_of(manifest: Manifest) -> dict[str, str]:
    """Return the directory of the rows of each stage of a run, by the stage's label."""
    directories = {}
    for record in [*manifest.stages, *manifest.steps]:
        # `score[exact_match]` is kept with the rows of every metric under `score`.
        directories[record.stage] = f"rows/{record.name}/{record.fingerprint}"
    return directories


def has_tables(manifest: Manifest) -> bool:
    """Return whether a run has ended in the ordinary way, and so has its tables."""
    return manifest.status is not RunStatus.RUNNING and manifest.error is None


def rows_of(
    run: RunResult,
    record: StageRecord,
    *,
    where: pc.Expression | None = None,
) -> pa.Table:
    """Return `key` and `error` of a run's rows of one stage, from the run's own tables.

    `where` chooses some of them.
    """
    if record.name in ID_OF:
        of_stage = pc.field(ID_OF[record.name]) == record.member_id
        where = of_stage if where is None else of_stage & where
    return run.table(
        TABLE_OF[record.name],
        columns=["key", "error"],
        where=where,
    )


def joined_keys(keys: Iterable[pa.Array | pa.ChunkedArray]) -> pa.Array:
    """Return keys as one array without nulls."""
    chunks: list[pa.Array] = []
    for array in keys:
        if isinstance(array, pa.ChunkedArray):
            chunks += array.chunks
        else:
            chunks.append(array)
    # The type is given: without chunks there is none to take it from.
    return pa.chunked_array(chunks, KEY.type).combine_chunks().drop_null()


@dataclass(frozen=True)
class References:
    """What runs refer to: `paths` of parts, and by directory the `keys` of their rows.

    Any row of the directories in `whole` may belong to a run in flight, or to one that
    left no tables.
    """

    paths: frozenset[str]
    keys: Mapping[str, pa.Array]
    whole: frozenset[str]


def references(
    store: RunStore,
    runs: Iterable[Manifest],
) -> References:
    """Return what runs refer to.

    Raise `StoreError` if the record of a run's parts cannot be read, and what pyarrow
    raises, or `OSError`, for a table of an earlier version.
    """
    paths: set[str] = set()
    keys: defaultdict[str, list[pa.Array]] = defaultdict(list)
    whole: set[str] = set()
    for manifest in runs:
        directories = directories_of(manifest)
        if not has_tables(manifest):
            whole.update(directories.values())
            continue
        # Which calls its rows are made of is in no table: an edit may need any of them.
        whole.update(directories[record.stage] for record in manifest.steps)
        run = RunResult(store, manifest.run_id, manifest)
        for record in manifest.stages:
            directory = directories[record.stage]
            if run.parts is None:
                rows = rows_of(run, record)
                found = [rows["key"]] if rows.num_rows == record.rows else None
            else:
                # Runs share most of their parts: each is read once.
                new = {part.path for part in parts_of(run.parts, record)} - paths
                found = _keys_of(store, new)
                for path in new:
                    paths.update(forms_of(path))
            if found is None:
                # Its rows are gone: nobody can say which of the others are its.
                whole.add(directory)
            else:
                keys[directory] += found
    joined = {directory: joined_keys(arrays) for directory, arrays in keys.items()}
    return References(frozenset(paths), joined, frozenset(whole))


def parts_of(
    parts: RunParts,
    record: StageRecord,
) -> list[HeldPart]:
    """Return the parts with a run's rows of one stage, in the order of its shards."""
    return list(parts.of_stage(TABLE_OF[record.name], record.member_id))


def _keys_of(
    store: RunStore,
    paths: Iterable[str],
) -> list[pa.Array] | None:
    """Return the keys in parts; `None` if one of them is gone."""
    found = []
    for path in sorted(paths):
        read = (store.read_keys(form) for form in forms_of(path))
        keys = next((keys for keys in read if keys is not None), None)
        if keys is None:
            return None
        found.append(keys)
    return found
