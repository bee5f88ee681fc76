"""Where the rows of a run come from: computed in it, or found.

Rows do not record which run computed them, so that equal runs have equal tables. What
there is instead: how many rows of a stage the run computed and how many it found, the
keys in the tables of earlier runs, and the age of the file that holds a row. Where
these cannot tell, the origin is `not known`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.runs.find_run import in_time
from themis_lib.runs.inventory import PART_SUFFIX, directories_of, has_tables, rows_of
from themis_lib.runs.manifest import Manifest, RunStatus, StageRecord, manifests
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import File, RunStore
from themis_lib.storage.tables import KEY

OriginName = Literal["computed", "cached", "failed", "skipped", "not known"]
Row = Mapping[str, Any]
#: How far the times of files may be off: S3 keeps whole seconds.
_CLOCK_S = 1.0


@dataclass(frozen=True)
class Origin:
    """How a run came by a row, how that is known, and the oldest file that holds the
    row; null where none does.
    """

    name: OriginName
    reason: str
    file: str | None


@dataclass(frozen=True)
class _Stored:
    file: File
    error: str | None


class Origins:
    """Tells where the rows of one run come from. `earlier` are the records of the runs
    before it, latest last.
    """

    def __init__(self, run: RunResult) -> None:
        self._run = run
        self._store = run.store
        runs = [
            other
            for other in in_time(manifests(run.store))
            if other.run_id != run.run_id
        ]
        own, ended = (
            (run.manifest.started_at, run.run_id),
            run.manifest.finished_at or "",
        )
        self.earlier = [
            other for other in runs if (other.started_at, other.run_id) < own
        ]
        self._meanwhile = [
            other for other in runs[len(self.earlier) :] if other.started_at <= ended
        ]
        self._unreadable: set[str] = set()

    def of(
        self,
        record: StageRecord,
        rows: Sequence[Row],
    ) -> list[Origin]:
        """The origin of each row of one stage, by `key` and `error`."""
        keys = pa.array([row["key"] for row in rows], KEY.type).drop_null().unique()
        stored = _find_stored(
            self._store, directories_of(self._run.manifest)[record.stage], keys
        )
        first = self._first_runs(record, rows, keys) if record.cached else {}
        return [
            self._make_origin(
                record,
                row,
                stored.get(row["key"]),
                first.get(row["key"]),
            )
            for row in rows
        ]

    def _make_origin(
        self,
        record: StageRecord,
        row: Row,
        stored: _Stored | None,
        first: str | None,
    ) -> Origin:
        if row["key"] is None:
            return Origin("skipped", "an earlier stage has no row to read", None)
        if (
            record.failed
            and row["error"] is not None
            and (stored is None or stored.error != row["error"])
        ):
            return Origin(
                "failed",
                "it is not kept; the next run tries it again",
                self._incomplete_file(record, row["key"]),
            )
        name, reason = self._find_origin(record, stored, first)
        if stored is None:
            return Origin(
                name,
                f"{reason}; its file is gone, and a run would compute it again",
                None,
            )
        return Origin(name, reason, self._store.uri(stored.file.path))

    def _find_origin(
        self,
        record: StageRecord,
        stored: _Stored | None,
        first: str | None,
    ) -> tuple[OriginName, str]:
        if not record.cached:
            return "computed", "this run computed every row of the stage"
        began, ended = map(
            _as_seconds, (self._run.manifest.started_at, self._run.manifest.finished_at)
        )
        written = stored.file.written if stored else None
        is_rewritten = (
            written is not None and began + _CLOCK_S < written <= ended + _CLOCK_S
        )
        if first is not None and not (record.computed and is_rewritten):
            return "cached", f"run {first} had it"
        if not record.computed:
            return "cached", "this run computed no row of the stage"
        if written is not None and written < began - _CLOCK_S:
            return "cached", "its file is older than this run"
        unsure = [other.run_id for other in self._rival_runs(record)]
        if unsure:
            return "not known", f"computed in this run or in {', '.join(unsure)}"
        if first is not None:
            return (
                "computed",
                f"run {first} had it, but its file was written anew during this run",
            )
        return "computed", "no earlier run had it"

    def _rival_runs(self, record: StageRecord) -> list[Manifest]:
        """Runs that may have computed a row and cannot be asked for it: they were
        stopped, or ran meanwhile.
        """
        unsure = [
            other
            for other in self.earlier
            if not has_tables(other) or other.run_id in self._unreadable
        ]
        return [
            other
            for other in unsure + self._meanwhile
            if any(
                same.computed or other.status is RunStatus.RUNNING
                for same in _same_stages(other, record)
            )
        ]

    def _first_runs(
        self,
        record: StageRecord,
        rows: Iterable[Row],
        keys: pa.Array,
    ) -> dict[bytes, str]:
        """The earliest run before this one that has a row of each key; one that failed
        there does not count.
        """
        errors = {row["key"]: row["error"] for row in rows}
        first: dict[bytes, str] = {}
        for manifest, same in (
            (other, same)
            for other in self.earlier
            for same in _same_stages(other, record)
        ):
            if len(first) == len(keys):
                break
            if not has_tables(manifest):
                continue
            other = RunResult(self._store, manifest.run_id, manifest)
            try:
                table = rows_of(other, same, where=pc.field("key").isin(keys))
            except (pa.ArrowException, OSError):
                self._unreadable.add(manifest.run_id)
                continue
            for row in table.to_pylist():
                if not same.failed or row["error"] in (None, errors[row["key"]]):
                    first.setdefault(row["key"], manifest.run_id)
        return first

    def _incomplete_file(
        self,
        record: StageRecord,
        key: bytes,
    ) -> str | None:
        """The file of a shard with failed rows that the run left beside its tables."""
        stage = record.stage.partition("[")[0]
        directory = f"runs/{self._run.run_id}/incomplete"
        paths = [
            f"{directory}/{name}"
            for name in self._store.list(directory)
            if name.startswith(f"{stage}-")
        ]
        holding = (
            path for path in paths if _contains_key(self._store.read_keys(path), key)
        )
        return next(map(self._store.uri, holding), None)


def _same_stages(
    manifest: Manifest,
    record: StageRecord,
) -> list[StageRecord]:
    """The stages of a run that are the same computation, under whatever name."""
    return [
        other for other in manifest.stages if other.fingerprint == record.fingerprint
    ]


def _find_stored(
    store: RunStore,
    directory: str,
    keys: pa.Array,
) -> dict[bytes, _Stored]:
    """The oldest file that holds each key, and the error that it has there."""
    found: dict[bytes, _Stored] = {}
    for file in sorted(
        store.files(directory), key=lambda file: (file.written, file.path)
    ):
        if not file.path.endswith(PART_SUFFIX):
            continue
        held = store.read_keys(file.path)
        if held is None or not pc.any(pc.is_in(keys, value_set=held)).as_py():
            continue
        table = store.read_table(file.path)
        if table is not None:
            rows = table.select(["key", "error"]).filter(
                pc.is_in(table["key"], value_set=keys)
            )
            for row in rows.to_pylist():
                found.setdefault(row["key"], _Stored(file, row["error"]))
    return found


def _as_seconds(time: str | None) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0.0


def _contains_key(
    keys: pa.Array | None,
    key: bytes,
) -> bool:
    return keys is not None and pc.index(keys, pa.scalar(key, KEY.type)).as_py() >= 0
