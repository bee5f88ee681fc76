"""The rows of a run as its store has them, and the stages that made them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import ConfigError, StoreError, nearest
from themis_lib.experiment.experiment import Experiment
from themis_lib.explain.differences import stage_differences
from themis_lib.identity.digests import KEY_BYTES
from themis_lib.runs.assembled_table import AssembledTable
from themis_lib.runs.inventory import (
    ID_OF,
    TABLE_OF,
    directories_of,
    has_tables,
    parts_of,
    rows_of,
)
from themis_lib.runs.manifest import StageRecord
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.runs.run_parts import HeldPart
from themis_lib.runs.run_tables import RunTable
from themis_lib.stages.stage import Stage
from themis_lib.storage.part_files import PART_SUFFIX
from themis_lib.storage.rows import RowSet
from themis_lib.storage.tables import CASES, KEY, with_columns_of
from themis_lib.verification.changed_files import StoredPart, stored_parts
from themis_lib.verification.models import CASES_LABEL

AnyStage = TypeVar("AnyStage", bound=Stage)
Positions = npt.NDArray[np.int64]
_IDS = ("dataset_id", "case_id")


@dataclass(frozen=True)
class StageRows:
    """The rows of one stage for some cases, in their order.

    `table` has them as later stages read them, with their keys: from the store, or
    where it has none, as `recorded` in the run's table. `is_stored` tells which.
    """

    table: pa.Table
    recorded: pa.Table
    is_stored: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StoredCopies:
    """Rows of a stage in one file of the store, and the position of each in a batch."""

    file: str
    table: pa.Table
    positions: Positions


class _AsStored(RunResult):
    """A run whose rows are those that its parts hold by now, changed since or not."""

    def open_table(self, name: str) -> RunTable | None:
        if self.parts is None or name == "summary":
            return super().open_table(name)
        table = AssembledTable(self.store, name, self.parts, as_stored=True)
        return table if table.group_sizes else None


class StoredRun:
    """A finished run, its cases and rows in the store, and its stages compiled again.

    The stages look their rows up under the fingerprints that the run recorded. What
    identifies a stage otherwise today is in `changes`, a line each. Raise `ConfigError`
    or `StoreError` for a run whose rows nobody can compute again.
    """

    def __init__(
        self,
        run: RunResult,
        experiment: Experiment,
    ) -> None:
        if not has_tables(run.manifest):
            raise ConfigError(
                f"run {run.run_id!r} did not end by itself, and has no tables to verify; "
                "run its experiment again, which goes on from the store"
            )
        self.run = _AsStored(run.store, run.run_id, run.manifest)
        # New draws are few: a batch would take a day for them.
        runtime = experiment.runtime.model_copy(update={"batch": None})
        experiment = experiment.model_copy(update={"runtime": runtime})
        compiled = experiment.compile(until_stage=run.manifest.until_stage)
        self.changes: dict[str, list[str]] = {}
        self._row_sets: dict[str, RowSet] = {}
        self._parts: dict[str, Sequence[StoredPart]] = {}
        self.pipeline = self._as_recorded(compiled.resolved(run.store))

    @property
    def stages(self) -> list[Stage]:
        """The stages of the run, in order."""
        return self.pipeline.stages

    def record(self, stage: Stage) -> StageRecord:
        """Return the run's record of a stage."""
        record = self.run.manifest.stage(stage.label)
        if record is None:
            choices = [other.stage for other in self.run.manifest.stages]
            raise ConfigError(
                f"run {self.run.run_id!r} has no stage {stage.label}; "
                f"{nearest(stage.label, choices)}"
            )
        return record

    def _as_recorded(self, pipeline: Pipeline) -> Pipeline:
        included = {stage.label for stage in pipeline.stages}

        def of_run(stage: AnyStage) -> AnyStage:
            if stage.label not in included:
                return stage
            record = self.record(stage)
            if record.fingerprint == stage.fingerprint:
                return stage
            lines = stage_differences(
                record.identity,
                stage.full_identity,
                dependencies=(record.dependencies, stage.depends_on),
                places=stage.places,
            )
            # A fingerprint covers more than the identity that is recorded.
            self.changes[stage.label] = lines or ["another version of this stage"]
            renamed = copy.copy(stage)
            renamed.__dict__["fingerprint"] = record.fingerprint
            return renamed

        return replace(
            pipeline,
            generate=of_run(pipeline.generate),
            parse=of_run(pipeline.parse),
            judges=tuple(map(of_run, pipeline.judges)),
            scores=tuple(map(of_run, pipeline.scores)),
            reduce=of_run(pipeline.reduce),
        )

    @property
    def has_tables_of_its_own(self) -> bool:
        """Whether the run has a second copy of its rows: those of later versions have
        the digests of their parts instead.
        """
        return self.run.parts is None

    def parts(self, label: str) -> Sequence[StoredPart]:
        """Return the parts with the rows of a stage, or of the cases, in their order.

        None for a run with tables of its own.
        """
        if self.run.parts is None:
            return ()
        if label not in self._parts:
            parts: Iterable[HeldPart] = self.run.parts.of_stage("cases", None)
            if label != CASES_LABEL:
                record = self.record(self.pipeline.stage(label))
                parts = parts_of(self.run.parts, record)
            self._parts[label] = tuple(stored_parts(self.run.store, parts))
        return self._parts[label]

    def part_of(
        self,
        label: str,
        row: int,
    ) -> StoredPart:
        """Return the part with a row of a stage, or with a case, by its position."""
        parts = self.parts(label)
        ends = np.cumsum([part.rows for part in parts])
        return parts[int(np.searchsorted(ends, row, side="right"))]

    def changed_files(self, label: str) -> list[str]:
        """Return the files of a stage, or of the cases, that hold what they did not hold
        in the run, each once.
        """
        files = [file for part in self.parts(label) for file in part.changed]
        return list(dict.fromkeys(files))

    @cached_property
    def case_ids(self) -> pa.Table:
        """`dataset_id` and `case_id` of the run's cases, in order."""
        return self.run.table("cases", columns=_IDS)

    def spans(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield the first and last places of cases that are laid out together.

        Whole shards of `most` cases, or of more where a shard alone is larger.
        """
        start = end = 0
        for size in self._part_sizes:
            if end > start and end - start + size > most:
                yield start, end
                start = end
            end = min(end + size, self.case_ids.num_rows)
        if end > start:
            yield start, end

    @cached_property
    def _part_sizes(self) -> list[int]:
        """The cases of each shard of the run."""
        store = self.run.store
        return [store.count_rows(path) for path in self.run.manifest.cases]

    @cached_property
    def _cases(self) -> pa.Table:
        """All cases of the run as its stages read them, in order."""
        parts = []
        for path in self.run.manifest.cases:
            part = self.run.store.read_table(path)
            if part is None:
                raise StoreError(
                    f"{self.run.store.uri(path)} is gone, which has cases of run "
                    f"{self.run.run_id!r}; run its experiment again, which writes them"
                )
            parts.append(with_columns_of(part, CASES))
        every_case = pa.concat_tables([CASES.empty_table(), *parts])
        places: dict[tuple[str, str], int] = {}
        for place, name in enumerate(_names(every_case)):
            places.setdefault(name, place)
        order = [places.get(name, -1) for name in _names(self.case_ids)]
        if -1 in order:
            raise StoreError(
                f"the store lacks {order.count(-1):,} of the {len(order):,} cases of run "
                f"{self.run.run_id!r}; check the store"
            )
        return every_case.take(pa.array(order, pa.int64())).combine_chunks()

    def cases(self, places: Positions) -> pa.Table:
        """Return cases as stages read them, by their places in the run."""
        return self._cases.take(pa.array(places))

    def recorded_cases(self, places: Positions) -> pa.Table:
        """Return cases as the run's own table has them, by their places in the run."""
        where = None
        if len(places) < self.case_ids.num_rows:
            where = _are_cases(self.case_ids.take(pa.array(places)))
        return self.run.table("cases", where=where)

    def rows_per_case(self, stage: Stage) -> int:
        """Return how many rows of a stage each case has."""
        if stage is self.pipeline.reduce:
            return len(self.pipeline.reduce.metric_ids)
        return self.pipeline.samples

    def verifiable(self, stage: Stage) -> Positions:
        """Return the positions of a stage's rows that are facts.

        A row that an earlier stage left nothing to read has no key, and one that failed
        in this run was never stored. Raise `StoreError` if the run's table lacks rows.
        """
        record = self.record(stage)
        rows = rows_of(self.run, record)
        expected = self.case_ids.num_rows * self.rows_per_case(stage)
        if rows.num_rows != expected:
            raise StoreError(
                f"run {self.run.run_id!r} has {rows.num_rows:,} of {expected:,} rows of "
                f"{stage.label}; check the store"
            )
        is_fact = rows["key"].is_valid().to_numpy().copy()
        if record.failed:
            suspects = np.flatnonzero(is_fact & rows["error"].is_valid().to_numpy())
            is_fact[suspects] = self._are_stored(
                stage, rows["key"].take(pa.array(suspects))
            )
        return np.flatnonzero(is_fact)

    def rows(
        self,
        stage: Stage,
        places: Positions,
    ) -> StageRows:
        """Return the rows of a stage for the cases at some places, ascending."""
        recorded = self._recorded(stage, places)
        base = recorded
        if stage.name == "score":
            # The store keeps the column under its first name.
            names = ["value" if name == "score" else name for name in base.column_names]
            base = base.rename_columns(names)
        schema = pa.schema([KEY, *stage.schema])
        base = with_columns_of(base, schema)
        keys = base["key"].combine_chunks()
        found, stored = self._row_set(stage).find(keys)
        choice = np.arange(base.num_rows)
        choice[found] = base.num_rows + np.arange(stored.num_rows)
        both = pa.concat_tables([base, stored.cast(schema)])
        is_stored = np.zeros(base.num_rows, dtype=bool)
        is_stored[found] = True
        table = both.take(pa.array(choice)).combine_chunks()
        return StageRows(table, recorded, is_stored)

    def copies(
        self,
        stage: Stage,
        keys: pa.Array,
        positions: Positions,
    ) -> Iterator[StoredCopies]:
        """Yield every copy in the store of the rows at some positions, file by file.

        But for the files whose rows the run itself refers to.
        A row that is found by its key may be in several files. Equal rows of a shard are
        there one by one, since whoever reads a shard as a whole reads all of them; `keys`
        are those of all rows of the batch, to tell which is which.
        """
        first: dict[bytes, int] = {}
        for position in positions.tolist():
            key = keys[position].as_py()
            if key is not None:
                first.setdefault(key, position)
        wanted = pa.array(list(first), KEY.type)
        every_key = _joined(keys)
        store = self.run.store
        for path in self._other_files(stage):
            held = store.read_keys(path)
            if held is None or not pc.any(pc.is_in(held, value_set=wanted)).as_py():
                continue
            table = store.read_table(path)
            if table is None:
                continue  # removed, or set aside as damaged, since its keys were read
            start = _row_of(every_key, _joined(held))
            if start is None:
                table = table.filter(pc.is_in(table["key"], value_set=wanted))
                rows = np.array([first[key] for key in table["key"].to_pylist()])
            else:
                rows = start + np.arange(table.num_rows)
                is_chosen = np.isin(rows, positions) & held.is_valid().to_numpy(
                    zero_copy_only=False
                )
                table, rows = table.filter(pa.array(is_chosen)), rows[is_chosen]
            schema = pa.schema([KEY, *stage.schema])
            yield StoredCopies(store.uri(path), with_columns_of(table, schema), rows)

    def _other_files(self, stage: Stage) -> Iterator[str]:
        """Yield the files with rows of a stage, but for those that the run refers to."""
        of_run = {path for part in self.parts(stage.label) for path in part.paths}
        directory = directories_of(self.run.manifest)[stage.label]
        for file in self.run.store.files(directory):
            # A name with a leading dot is of a file that is still being written.
            is_part = file.path.endswith(PART_SUFFIX) and "/." not in file.path
            if is_part and file.path not in of_run:
                yield file.path

    def _recorded(
        self,
        stage: Stage,
        places: Positions,
    ) -> pa.Table:
        """Return the rows of a stage for some cases, from the run's table."""
        record = self.record(stage)
        conditions = []
        ids = self.case_ids.take(pa.array(places))
        if len(places) < self.case_ids.num_rows:
            conditions.append(_are_cases(ids))
        if record.name in ID_OF:
            conditions.append(pc.field(ID_OF[record.name]) == record.member_id)
        where = None
        for condition in conditions:
            where = condition if where is None else where & condition
        table = self.run.table(TABLE_OF[record.name], where=where)
        expected = len(places) * self.rows_per_case(stage)
        if table.num_rows != expected:
            raise StoreError(
                f"run {self.run.run_id!r} has {table.num_rows:,} of {expected:,} rows of "
                f"{stage.label} for {len(places):,} cases; check the store"
            )
        return table

    def _row_set(self, stage: Stage) -> RowSet:
        """Return the rows of a stage in the store, all files of the moment known."""
        if stage.label not in self._row_sets:
            row_set = stage.row_set(self.run.store)
            row_set.refresh()
            self._row_sets[stage.label] = row_set
        return self._row_sets[stage.label]

    def _are_stored(
        self,
        stage: Stage,
        keys: pa.ChunkedArray,
    ) -> npt.NDArray[np.bool_]:
        found, _ = self._row_set(stage).find(keys.combine_chunks())
        are_stored = np.zeros(len(keys), dtype=bool)
        are_stored[found] = True
        return are_stored


@dataclass
class CaseBatch:
    """Some cases of a run, and the rows of its stages for them, read when asked for."""

    stored: StoredRun
    places: Positions
    _rows: dict[str, StageRows] = field(default_factory=dict)

    @cached_property
    def cases(self) -> pa.Table:
        """The cases as stages read them."""
        return self.stored.cases(self.places)

    def rows(self, stage: Stage) -> StageRows:
        """Return the rows of a stage for these cases."""
        if stage.label not in self._rows:
            self._rows[stage.label] = self.stored.rows(stage, self.places)
        return self._rows[stage.label]

    def part_of(
        self,
        stage: Stage,
        position: int,
    ) -> StoredPart:
        """Return the part with a row of a stage, by its position in this batch."""
        per_case = self.stored.rows_per_case(stage)
        row = int(self.places[position // per_case]) * per_case + position % per_case
        return self.stored.part_of(stage.label, row)

    def positions(
        self,
        rows: Positions,
        per_case: int,
    ) -> Positions:
        """Return where rows of the run, by their positions in it, are in this batch.

        `per_case` is how many of them each case has.
        """
        case = np.searchsorted(self.places, rows // per_case)
        return case * per_case + rows % per_case


def _joined(keys: pa.Array) -> bytes:
    """Return keys one after the other, zeros for one that is null."""
    return b"".join(key or bytes(KEY_BYTES) for key in keys.to_pylist())


def _row_of(
    keys: bytes,
    part: bytes,
) -> int | None:
    """Return the row from which on the keys of a whole part are among others."""
    start = keys.find(part)
    while start >= 0 and start % KEY_BYTES:
        start = keys.find(part, start + 1)
    return start // KEY_BYTES if start >= 0 else None


def _names(table: pa.Table) -> Sequence[tuple[str, str]]:
    columns = [table[name].to_pylist() for name in _IDS]
    return list(zip(*columns, strict=True))


def _are_cases(ids: pa.Table) -> pc.Expression:
    """Return the condition that a row is of one of these cases."""
    where = None
    for dataset_id in pc.unique(ids["dataset_id"]).to_pylist():
        of_dataset = ids.filter(pc.equal(ids["dataset_id"], dataset_id))["case_id"]
        condition = (pc.field("dataset_id") == dataset_id) & pc.field("case_id").isin(
            of_dataset.combine_chunks()
        )
        where = condition if where is None else where | condition
    return where
