"""The rows of a stage looked at again: computed once more, and compared cell by cell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.runs.assembled_table import as_in_run, cases_in_run
from themis_lib.runs.inventory import TABLE_OF
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.tables import KEY
from themis_lib.verification.cells import Cell, Cells, cell_text, differing
from themis_lib.verification.changed_files import StoredPart
from themis_lib.verification.models import CASES_LABEL, KEY_COLUMN, CellDifference
from themis_lib.verification.recompute import (
    compute_again,
    keys_now,
    stages_read,
)
from themis_lib.verification.stored_run import CaseBatch, Positions

#: The differences of a stage that are kept; the rows are all counted.
MOST_DIFFERENCES = 100


@dataclass
class Findings:
    """What was found of one stage: how many rows, and the first cells that differ.

    Its rows were computed again, or if not `is_computed`, only their keys and copies
    compared. Of an `is_unsteady` stage, computing a row twice gave two results.
    """

    sampled: int = 0
    failed_now: int = 0
    lost: int = 0
    differing: int = 0
    cells: list[CellDifference] = field(default_factory=list)
    is_computed: bool = True
    is_unsteady: bool = False

    def add(
        self,
        rows: int,
        cells: Iterable[CellDifference],
    ) -> None:
        """Count rows that differ, and keep the first of their cells."""
        self.differing += rows
        self.cells += list(cells)[: MOST_DIFFERENCES - len(self.cells)]


def is_comparable(stage: Stage) -> bool:
    """Return whether a stage makes the same of the same row.

    What a model drew comes out otherwise the next time, unless its generator says not.
    """
    return not isinstance(stage, GenerateStage) or stage.deterministic


class StageChecks:
    """Checks rows batch by batch; of each batch, the stages in their order.

    Of the stages labelled `not_computed`, only keys and copies are compared.
    """

    def __init__(self, *, not_computed: Collection[str] = ()) -> None:
        self._not_computed = not_computed
        self._findings: dict[str, Findings] = {}
        # What later stages read of these cases is not what they read then.
        self._differing_cases: set[tuple[str, str]] = set()

    def findings(self, label: str) -> Findings:
        """Return what was found of a stage, by its label, or of `cases`."""
        return self._findings.setdefault(label, Findings())

    def check_cases(
        self,
        batch: CaseBatch,
        chosen: Positions,
    ) -> None:
        """Compare the two copies of cases, by their positions in a batch."""
        found = self.findings(CASES_LABEL)
        found.is_computed = False
        found.sampled += len(chosen)
        cells = list(_case_cells(batch, chosen))
        self._note(cells)
        found.add(len({(cell.dataset_id, cell.case_id) for cell in cells}), cells)

    async def check(
        self,
        batch: CaseBatch,
        stage: Stage,
        chosen: Positions,
    ) -> None:
        """Look at rows of a stage again, by their positions in a batch.

        Raise `ConfigError` if the stage cannot compute anything here.
        """
        found = self.findings(stage.label)
        found.sampled += len(chosen)
        rows = batch.rows(stage)
        found.lost += int((~rows.is_stored[chosen]).sum())
        computed = None
        found.is_computed = (
            is_comparable(stage) and stage.label not in self._not_computed
        )
        if found.is_computed:
            computed = await compute_again(batch, stage, chosen)
            keys = computed.table["key"].combine_chunks()
        else:
            keys = pa.array(keys_now(batch, stage), KEY.type)
        is_other = _differ(rows.table["key"].combine_chunks(), keys)
        if stage.label in batch.stored.changes:
            # Another stage may read other columns: its rows are compared all the same.
            is_other[:] = False
        others = chosen[is_other[chosen]]
        same = chosen[~is_other[chosen]]
        if computed is None:
            cells = _copy_cells(batch, stage, same)
        else:
            has_failed = computed.has_failed[same]
            found.failed_now += int(has_failed.sum())
            cells = _computed_cells(batch, stage, same[~has_failed], computed.table)
        named = list(_named(batch, stage, cells))
        self._note(named)
        found.add(len({cell.position for cell in cells}), named)
        for position in others.tolist():
            found.add(*self._read_otherwise(batch, stage, position, keys))
        # Once more costs nothing, unless its calls do.
        is_asked = found.is_unsteady or stage.is_paid
        if computed is not None and named and not is_asked:
            again = await compute_again(batch, stage, chosen)
            found.is_unsteady = any(differing(computed.table, again.table))

    def _note(self, cells: Iterable[CellDifference]) -> None:
        for cell in cells:
            self._differing_cases.add((cell.dataset_id, cell.case_id))

    def _read_otherwise(
        self,
        batch: CaseBatch,
        stage: Stage,
        position: int,
        keys: pa.Array,
    ) -> tuple[int, list[CellDifference]]:
        """Return how many rows differ, and in what, where a row now reads other values.

        None, if a cell that it depends on is known to differ. The cell of an earlier
        stage is named if its two copies do.
        """
        recorded = batch.rows(stage).recorded
        ids = _ids(stage, recorded, position)
        if (ids["dataset_id"], ids["case_id"]) in self._differing_cases:
            return 0, []
        case = position // batch.stored.rows_per_case(stage)
        cells = list(_case_cells(batch, np.array([case])))
        for earlier in stages_read(batch.stored.pipeline, stage):
            per_case = batch.stored.rows_per_case(earlier)
            of_case = case * per_case + np.arange(per_case)
            copies = _copy_cells(batch, earlier, of_case)
            cells += _named(batch, earlier, copies)
        if not cells:
            key = CellDifference(
                stage=stage.label,
                column=KEY_COLUMN,
                recorded=_hex(recorded["key"][position]),
                computed=_hex(keys[position]),
                file=_changed_file(batch, stage, case),
                **ids,
            )
            cells = [key]
        self._note(cells)
        return 1, cells


def _differ(
    keys: pa.Array,
    others: pa.Array,
) -> np.ndarray:
    return np.array(
        [a != b for a, b in zip(keys.to_pylist(), others.to_pylist(), strict=True)],
        dtype=bool,
    )


def _hex(key: pa.Scalar) -> str | None:
    return key.as_py().hex() if key.is_valid else None


def _computed_cells(
    batch: CaseBatch,
    stage: Stage,
    positions: Positions,
    computed: pa.Table,
) -> Cells:
    """Return the cells in which a copy differs from what was computed."""
    rows = batch.rows(stage)
    keys = rows.table["key"].combine_chunks()
    cells = Cells()
    for copies in batch.stored.copies(stage, keys, positions):
        # As they were written, with the model's reasoning: equal to the bit.
        new_rows = computed.take(pa.array(copies.positions))
        for at, column, new, old in differing(new_rows, copies.table):
            cell = cells.at(int(copies.positions[at]), _run_name(stage, column))
            cell.stored, cell.computed, cell.file = old, new, copies.file
            cell.differs_in = ["store"]
    chosen = pa.array(positions)
    in_run = as_in_run(TABLE_OF[stage.name], computed.take(chosen))
    for at, column, new, old in differing(in_run, rows.recorded.take(chosen)):
        cell = cells.at(int(positions[at]), column)
        cell.computed = new
        if batch.stored.has_tables_of_its_own:
            cell.recorded = old
            cell.differs_in = [*cell.differs_in, "run"]
        else:
            _note_part(cell, batch.part_of(stage, cell.position), old)
    shown = as_in_run(TABLE_OF[stage.name], rows.table)
    for cell in cells:
        # What a part held that has changed since, its digest does not tell.
        if cell.is_changed:
            continue
        if cell.stored is None and rows.is_stored[cell.position]:
            cell.stored = cell_text(shown[cell.column][cell.position].as_py())
        if cell.recorded is None:
            cell.recorded = cell_text(rows.recorded[cell.column][cell.position].as_py())
    return cells


def _note_part(
    cell: Cell,
    part: StoredPart,
    value: str,
) -> None:
    """Note that a run's row is not what was computed, by the part that holds it.

    The digest of a part that has not changed proves that the run had this value.
    """
    cell.stored, cell.file = value, part.file
    cell.differs_in = ["store"]
    if part.changed:
        cell.is_changed = True
        (cell.file, *_) = part.changed
    else:
        cell.recorded = value
        cell.differs_in = ["store", "run"]


def _changed_file(
    batch: CaseBatch,
    stage: Stage,
    case: int,
) -> str | None:
    """Return a file that has changed, of those with what a stage reads of a case."""
    stored = batch.stored
    if stored.has_tables_of_its_own:
        return None
    parts = [stored.part_of(CASES_LABEL, int(batch.places[case]))]
    for earlier in stages_read(stored.pipeline, stage):
        parts.append(batch.part_of(earlier, case * stored.rows_per_case(earlier)))
    return next((file for part in parts for file in part.changed), None)


def _copy_cells(
    batch: CaseBatch,
    stage: Stage,
    positions: Positions,
) -> Cells:
    """Return the cells in which the copies of rows differ."""
    rows = batch.rows(stage)
    keys = rows.table["key"].combine_chunks()
    cells = Cells()
    for copies in batch.stored.copies(stage, keys, positions):
        in_run = as_in_run(TABLE_OF[stage.name], copies.table)
        recorded = rows.recorded.take(pa.array(copies.positions))
        for at, column, old, new in differing(in_run, recorded):
            cell = cells.at(int(copies.positions[at]), column)
            cell.stored, cell.recorded, cell.file = old, new, copies.file
    return cells


def _case_cells(
    batch: CaseBatch,
    positions: Positions,
) -> Iterator[CellDifference]:
    """Yield the cells in which the two copies of cases differ."""
    recorded = batch.stored.recorded_cases(batch.places)
    ids = recorded.select(["dataset_id", "case_id"]).to_pylist()
    chosen = pa.array(positions)
    copies = cases_in_run(batch.cases.take(chosen)), recorded.take(chosen)
    for at, column, old, new in differing(*copies):
        yield CellDifference(
            stage=CASES_LABEL,
            column=column,
            stored=old,
            recorded=new,
            **ids[positions[at]],
        )


def _run_name(
    stage: Stage,
    column: str,
) -> str:
    """Return what the run's table calls a column of a stage."""
    return "score" if (stage.name, column) == ("score", "value") else column


def _named(
    batch: CaseBatch,
    stage: Stage,
    cells: Iterable[Cell],
) -> Iterator[CellDifference]:
    """Yield cells with the names of their rows, and the files that hold them."""
    rows = batch.rows(stage)
    for cell in cells:
        yield CellDifference(
            stage=stage.label,
            column=cell.column,
            stored=cell.stored,
            recorded=cell.recorded,
            computed=cell.computed,
            differs_in=cell.differs_in,
            file=cell.file,
            **_ids(stage, rows.recorded, cell.position),
        )


def _ids(
    stage: Stage,
    recorded: pa.Table,
    position: int,
) -> dict[str, Any]:
    """Return what names a row of the run's table: its case, sample and metric."""
    # The sample of a reduced row is a value: the one that the reducer chose.
    names = {"dataset_id", "case_id", "metric_id"}
    if stage.name != "reduce":
        names.add("sample_index")
    ids = {}
    for name in names.intersection(recorded.column_names):
        ids[name] = recorded[name][position].as_py()
    return ids
