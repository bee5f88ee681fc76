"""Checks a store: every part can be read and is what was written, and the rows of every
run are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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
from themis_lib.storage.part_files import COLUMNS
from themis_lib.storage.store import File, RunStore
from themis_lib.storage.tables import KEY, RUN_TABLES, column_digests

_REMOVE = "remove the file; the next run that needs its rows computes them again"
_RUN_AGAIN = "run its experiment again, which computes what is missing"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file, and what to do about it."""

    uri: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.uri}: {self.what}; {self.advice}"


def check(store: RunStore) -> Iterator[Problem]:
    """Every problem of a store, as it is found. Reads all of it and changes nothing."""
    files = store.files()
    held: dict[str, pa.Array] = {}
    for directory, parts in parts_by_directory(files).items():
        keys: list[pa.ChunkedArray] = []
        for part in parts:
            yield from _check_part(store, part, keys)
        held[directory] = joined_keys(keys)
    for run_id in _run_ids(files):
        yield from _check_run(store, run_id, held)


def _check_part(
    store: RunStore,
    part: File,
    keys: list[pa.ChunkedArray],
) -> Iterator[Problem]:
    """The problem of a part, if it has one; the keys of one that can be read are added
    to the others.
    """
    try:
        table = pq.read_table(
            pa.BufferReader(store.read_bytes(part.path)),
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        return  # removed since it was listed
    except (pa.ArrowException, OSError) as error:
        yield Problem(
            store.uri(part.path), f"cannot be read ({_first_line(error)})", _REMOVE
        )
        return
    recorded = json.loads((table.schema.metadata or {}).get(COLUMNS, b"{}"))
    if recorded != column_digests(table):
        yield Problem(
            store.uri(part.path), "does not hold what was written to it", _REMOVE
        )
    elif KEY.name in table.column_names:
        keys.append(table[KEY.name])


def _run_ids(files: Iterable[File]) -> list[str]:
    return sorted(
        {
            file.path.split("/")[1]
            for file in files
            if file.path.startswith("runs/") and "/." not in file.path
        }
    )


def _check_run(
    store: RunStore,
    run_id: str,
    held: dict[str, pa.Array],
) -> Iterator[Problem]:
    path = f"runs/{run_id}/{MANIFEST_NAME}"
    try:
        manifest = parse_manifest(store.read_bytes(path))
    except FileNotFoundError:
        yield Problem(store.uri(path), "is missing", "remove the folder of this run")
        return
    except ValueError as error:
        yield Problem(
            store.uri(path),
            f"cannot be read ({_first_line(error)})",
            "remove the folder of this run",
        )
        return
    if not has_tables(manifest):
        return  # under way, or stopped before its tables were written
    yield from _check_tables(store, manifest, held)


def _check_tables(
    store: RunStore,
    manifest: Manifest,
    held: dict[str, pa.Array],
) -> Iterator[Problem]:
    run = RunResult(store, manifest.run_id, manifest)
    damaged = set()
    for name in RUN_TABLES:
        try:
            run.table(name)
        except (pa.ArrowException, OSError) as error:
            damaged.add(name)
            yield Problem(
                store.uri(f"runs/{manifest.run_id}/{name}.parquet"),
                f"cannot be read ({_first_line(error)})",
                f"remove the folder of this run, and {_RUN_AGAIN}",
            )
    if damaged:
        return
    for record in manifest.stages:
        yield from _check_rows(
            run, record, held.get(directories_of(manifest)[record.stage])
        )


def _check_rows(
    run: RunResult,
    record: StageRecord,
    held: pa.Array | None,
) -> Iterator[Problem]:
    """Whether a run's table has all rows of a stage, and the store each of them by its
    key.

    A row that failed for now is in the run's table alone.
    """
    rows = rows_of(run, record)
    if rows.num_rows != record.rows:
        what = f"{record.stage} has {rows.num_rows:,} of {record.rows:,} rows"
        yield Problem(
            run.location, what, f"remove the folder of this run, and {_RUN_AGAIN}"
        )
    if record.failed:
        rows = rows.filter(rows["error"].is_null())
    keys = joined_keys([rows["key"]])
    missing = (
        len(keys)
        if held is None
        else pc.sum(pc.invert(pc.is_in(keys, value_set=held))).as_py() or 0
    )
    if missing:
        directory = run.store.uri(directories_of(run.manifest)[record.stage])
        what = f"lacks {missing:,} of the {len(keys):,} rows of {record.stage} in run {run.run_id}"
        yield Problem(
            directory, what, f"the run's own tables have them; {_RUN_AGAIN} for others"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
