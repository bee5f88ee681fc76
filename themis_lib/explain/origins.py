"""The origin of each row of a run: computed in it, or found in the store.

Rows do not record which run computed them, so that equal runs have equal tables. The
origin is derived from other evidence: how many rows of a stage the run computed and
found, the keys in the tables of earlier runs, and the age of the file that holds a row.
If these leave it open, the origin is `not known`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import StoreError
from themis_lib.runs.inventory import directories_of, has_tables, rows_of
from themis_lib.runs.manifest import Manifest, RunStatus, StageRecord, manifests
from themis_lib.runs.results import RunResult
from themis_lib.storage.part_files import PART_SUFFIX
from themis_lib.storage.store import File, RunStore
from themis_lib.storage.tables import KEY

OriginName = Literal["computed", "cached", "failed", "skipped", "not known"]
Row = Mapping[str, Any]
#: How far the times of files may be off, in seconds: S3 keeps whole ones.
_CLOCK_S = 1.0


@dataclass(frozen=True)
class Origin:
    """The origin of a row, the evidence for it, and the oldest file with the row.

    `file` is `None` if no file has it.
    """

    name: OriginName
    reason: str
    file: str | None


@dataclass(frozen=True)
class _Stored:
    """The oldest file that holds a row, and the row's error there."""

    file: File
    error: str | None


class Origins:
    """The origins of the rows of one run.

    `earlier` has the records of the runs that started before it, the latest last.
    """

    def __init__(self, run: RunResult) -> None:
        self._run = run
        self._store = run.store
        self.earlier: list[Manifest] = []
        # Runs that started while this one was in flight.
        self._concurrent: list[Manifest] = []
        own = run.manifest
        started = own.started_at, own.run_id
        finished_at = own.finished_at or ""
        for other in manifests(run.store):
            if other.run_id == own.run_id:
                continue
            # Run ids decide between runs that started in the same millisecond.
            other_started = other.started_at, other.run_id
            if other_started < started:
                self.earlier.append(other)
            elif other.started_at <= finished_at:
                self._concurrent.append(other)
        # Ids of earlier runs with a damaged table, which cannot be asked for a row.
        self._unreadable: set[str] = set()

    def of(
        self,
        record: StageRecord,
        rows: Sequence[Row],
    ) -> list[Origin]:
        """Return the origin of each row of one stage, by its `key` and `error`."""
        every_key = [row["key"] for row in rows]
        keys = pa.array(every_key, KEY.type).drop_null().unique()
        directories = directories_of(self._run.manifest)
        stored = _find_stored(self._store, directories[record.stage], keys)
        first: dict[bytes, str] = {}
        # Reading the tables of all earlier runs is slow: skip it if nothing was found.
        if record.cached:
            first = self._first_runs(record, rows, keys)
        origins = []
        for row in rows:
            key = row["key"]
            if key is None:
                reason = "an earlier stage has no row to read"
                origin = Origin("skipped", reason, None)
            else:
                origin = self._row_origin(record, row, stored.get(key), first.get(key))
            origins.append(origin)
        return origins

    def _row_origin(
        self,
        record: StageRecord,
        row: Row,
        stored: _Stored | None,
        first: str | None,
    ) -> Origin:
        """Return the origin of a row that has a key.

        `first` is the id of the earliest run that had the row.
        """
        # A later run may have stored the row after it failed in this one.
        is_kept = stored is not None and stored.error == row["error"]
        if record.failed and row["error"] is not None and not is_kept:
            reason = "it is not kept; the next run tries it again"
            file = self._incomplete_file(record, row["key"])
            return Origin("failed", reason, file)
        name, reason = self._find_origin(record, stored, first)
        if stored is None:
            reason += "; its file is gone, and a run would compute it again"
            return Origin(name, reason, None)
        file = self._store.uri(stored.file.path)
        return Origin(name, reason, file)

    def _find_origin(
        self,
        record: StageRecord,
        stored: _Stored | None,
        first: str | None,
    ) -> tuple[OriginName, str]:
        """Return whether a row was computed or cached, and the evidence.

        Certain evidence comes first: counts, then keys, then the times of files.
        """
        if not record.cached:
            return "computed", "this run computed every row of the stage"
        if not record.computed:
            if first is None:
                return "cached", "this run computed no row of the stage"
            return "cached", f"run {first} had it"
        manifest = self._run.manifest
        began = _as_seconds(manifest.started_at)
        ended = _as_seconds(manifest.finished_at)
        is_older = is_rewritten = False
        if stored is not None:
            written = stored.file.written
            is_older = written < began - _CLOCK_S
            is_rewritten = began + _CLOCK_S < written <= ended + _CLOCK_S
        # A row may have been pruned after an earlier run, and computed anew in this one.
        if first is not None and not is_rewritten:
            return "cached", f"run {first} had it"
        if is_older:
            return "cached", "its file is older than this run"
        rivals = self._rival_runs(record)
        if rivals:
            others = ", ".join(rivals)
            return "not known", f"computed in this run or in {others}"
        if first is None:
            return "computed", "no earlier run had it"
        reason = f"run {first} had it, but its file was written anew during this run"
        return "computed", reason

    def _rival_runs(self, record: StageRecord) -> list[str]:
        """Return the ids of runs that may have computed a row but cannot tell.

        These were stopped, have a damaged table, or started while this run was in
        flight.
        """
        suspects = []
        for other in self.earlier:
            is_damaged = other.run_id in self._unreadable
            if is_damaged or not has_tables(other):
                suspects.append(other)
        suspects += self._concurrent
        rivals = []
        for other in suspects:
            is_running = other.status is RunStatus.RUNNING
            for same in _same_stages(other, record):
                # A run in flight has no counts yet: any row may be its.
                if same.computed or is_running:
                    rivals.append(other.run_id)
                    break
        return rivals

    def _first_runs(
        self,
        record: StageRecord,
        rows: Iterable[Row],
        keys: pa.Array,
    ) -> dict[bytes, str]:
        """Return the id of the earliest run before this one that had each row, by key.

        A run in which the row failed does not count.
        """
        errors = {row["key"]: row["error"] for row in rows}
        first: dict[bytes, str] = {}
        for manifest in filter(has_tables, self.earlier):
            other = RunResult(self._store, manifest.run_id, manifest)
            for same in _same_stages(manifest, record):
                if len(first) == len(keys):
                    return first
                try:
                    table = rows_of(other, same, where=pc.field("key").isin(keys))
                except (pa.ArrowException, OSError, StoreError):
                    self._unreadable.add(manifest.run_id)
                    continue
                for row in table.to_pylist():
                    key, error = row["key"], row["error"]
                    # If no row failed, an error is a fact, stored like a value.
                    is_kept = not same.failed or error is None
                    if is_kept or error == errors[key]:
                        first.setdefault(key, manifest.run_id)
        return first

    def _incomplete_file(
        self,
        record: StageRecord,
        key: bytes,
    ) -> str | None:
        """Return the file with a failed row, which the run left beside its tables."""
        wanted = pa.array([key], KEY.type)
        directory = f"runs/{self._run.run_id}/incomplete"
        for name in self._store.list(directory):
            if not name.startswith(f"{record.name}-"):
                continue
            path = f"{directory}/{name}"
            keys = self._store.read_keys(path)
            if keys is not None and _share_any(keys, wanted):
                return self._store.uri(path)
        return None


def _same_stages(
    manifest: Manifest,
    record: StageRecord,
) -> list[StageRecord]:
    """Return the stages of a run that are the same computation, whatever their label."""
    return [
        other for other in manifest.stages if other.fingerprint == record.fingerprint
    ]


def _find_stored(
    store: RunStore,
    directory: str,
    keys: pa.Array,
) -> dict[bytes, _Stored]:
    """Return the oldest file that holds each key, and the row's error there."""
    found: dict[bytes, _Stored] = {}
    # By age: compaction and later runs may have written the same rows again.
    files = list(store.files(directory))
    files.sort(key=lambda file: (file.written, file.path))
    for file in files:
        if not file.path.endswith(PART_SUFFIX):
            continue
        # Keys alone are read first: most parts hold none of these rows.
        part_keys = store.read_keys(file.path)
        if part_keys is None or not _share_any(keys, part_keys):
            continue
        table = store.read_table(file.path)
        if table is None:
            continue  # removed, or set aside as damaged, since its keys were read
        is_wanted = pc.is_in(table["key"], value_set=keys)
        rows = table.select(["key", "error"]).filter(is_wanted)
        for row in rows.to_pylist():
            found.setdefault(row["key"], _Stored(file, row["error"]))
    return found


def _share_any(
    keys: pa.Array,
    others: pa.Array,
) -> bool:
    is_shared = pc.is_in(keys, value_set=others)
    return bool(pc.any(is_shared).as_py())


def _as_seconds(time: str | None) -> float:
    """Return a manifest's time in seconds since 1970; 0 for `None`."""
    return datetime.fromisoformat(time).timestamp() if time else 0.0
