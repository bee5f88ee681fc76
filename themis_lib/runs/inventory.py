"""What a store holds: its files, and the rows that its runs refer to.

A run refers to rows by the fingerprints of its stages and, once it has ended, by the
keys in its tables. While it is under way, or where it left no tables, it is taken to
refer to every row under its fingerprints.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.runs.manifest import Manifest, RunStatus, StageRecord
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import File, RunStore
from themis_lib.storage.tables import KEY

CASES_DIRECTORY = "rows/cases"
PART_SUFFIX = ".parquet"
#: The table of a run that holds the rows of a stage.
TABLE_OF = {
    "generate": "outputs",
    "parse": "answers",
    "judge": "verdicts",
    "score": "scores",
    "reduce": "results",
}
#: What tells the rows of one stage from those of the others in the same table, as the
#: stage's label has it.
ID_OF = {"score": "metric_id", "judge": "judge_id"}


@dataclass(frozen=True)
class Holding:
    """The rows of one stage under one fingerprint, and the runs that have them."""

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
        """The fingerprint; none for cases, which are named by content alone."""
        return "".join(PurePosixPath(self.directory).parts[2:])


def parts_by_directory(files: Iterable[File]) -> dict[str, list[File]]:
    """The parts of rows, by stage and fingerprint."""
    parts: defaultdict[str, list[File]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        if (
            path.parts[0] == "rows"
            and path.suffix == PART_SUFFIX
            and not path.name.startswith(".")
        ):
            parts[str(path.parent)].append(file)
    return dict(parts)


def holdings(
    store: RunStore,
    files: Iterable[File],
    runs: Iterable[Manifest],
) -> list[Holding]:
    """What there is by stage and fingerprint; counts rows in the footers of the files."""
    referring: defaultdict[str, list[str]] = defaultdict(list)
    for manifest in runs:
        cases = [CASES_DIRECTORY] if manifest.cases else []
        for directory in {*cases, *directories_of(manifest).values()}:
            referring[directory].append(manifest.run_id)
    return [
        Holding(
            directory=directory,
            files=len(parts),
            rows=sum(store.count_rows(part.path) for part in parts),
            bytes=sum(part.bytes for part in parts),
            runs=tuple(referring[directory]),
        )
        for directory, parts in sorted(parts_by_directory(files).items())
    ]


def directories_of(manifest: Manifest) -> dict[str, str]:
    """Where the rows of each stage of a run lie, by the stage's label."""
    return {
        record.stage: f"rows/{record.stage.partition('[')[0]}/{record.fingerprint}"
        for record in manifest.stages
    }


def has_tables(manifest: Manifest) -> bool:
    """Whether a run has come to its end, and so to its tables."""
    return manifest.status is not RunStatus.RUNNING and manifest.error is None


def rows_of(
    run: RunResult,
    record: StageRecord,
    *,
    where: pc.Expression | None = None,
) -> pa.Table:
    """`key` and `error` of a run's rows of one stage, or those `where` something holds,
    from the run's own tables.
    """
    stage, _, rest = record.stage.partition("[")
    if stage in ID_OF:
        of_stage = pc.field(ID_OF[stage]) == rest.removesuffix("]")
        where = of_stage if where is None else of_stage & where
    return run.table(
        TABLE_OF[stage],
        columns=["key", "error"],
        where=where,
    )


def joined_keys(keys: Iterable[pa.Array | pa.ChunkedArray]) -> pa.Array:
    """Keys as one array without nulls."""
    chunks = [
        chunk
        for array in keys
        for chunk in (array.chunks if isinstance(array, pa.ChunkedArray) else [array])
    ]
    return pa.chunked_array(chunks, KEY.type).combine_chunks().drop_null()


def references(
    store: RunStore,
    runs: Iterable[Manifest],
) -> tuple[dict[str, pa.Array], set[str]]:
    """The keys that ended runs have in each directory, and the directories of which
    other runs may have any row.

    Raises `StoreError` where a table of a run cannot be read.
    """
    keys: defaultdict[str, list[pa.ChunkedArray]] = defaultdict(list)
    whole: set[str] = set()
    for manifest in runs:
        directories = directories_of(manifest)
        if not has_tables(manifest):
            whole.update(directories.values())
            continue
        run = RunResult(store, manifest.run_id, manifest)
        for record in manifest.stages:
            rows = rows_of(run, record)
            if rows.num_rows == record.rows:
                keys[directories[record.stage]].append(rows["key"])
            else:  # its table is gone
                whole.add(directories[record.stage])
    return {directory: joined_keys(arrays) for directory, arrays in keys.items()}, whole
