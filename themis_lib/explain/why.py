"""The explanation of one case in a run: what each stage read for its rows, where each
row comes from, and what has changed since an earlier run.

Nothing is computed: everything is looked up in the tables of runs and in the store.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import DatasetError, StoreError, nearest
from themis_lib.explain.case_rows import CaseRows, Row, case_rows
from themis_lib.explain.differences import differences, stage_differences
from themis_lib.explain.origins import Origin, Origins
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.runs.inventory import has_tables, rows_of
from themis_lib.runs.manifest import Manifest, StageRecord
from themis_lib.runs.results import RunResult
from themis_lib.stages.outputs import batch_of
from themis_lib.storage.tables import KEY

#: How many cases an error suggests.
_NEAREST = 3
#: The column that holds the result of a stage.
_VALUE_OF = {
    "generate": "output",
    "parse": "value",
    "judge": "output",
    "score": "score",
    "reduce": "score",
}


@dataclass(frozen=True)
class RowExplanation:
    """A row of a stage: of one sample or, of `reduce`, of one metric.

    `columns` are what its key covers, as JSON text; for a judge, what its request was
    built from. `changes` has a line for each of them that differs from the same row in
    the run before. `equal_rows` counts the rows of this run under the key, which share
    one row of the store. `value` is JSON text, and `reasoning` what a model thought
    before it. `batch_id` is that of the provider's batch that the row came by, if it did.
    """

    sample_index: int | None
    metric_id: str | None
    columns: Mapping[str, str]
    key: str | None
    equal_rows: int
    origin: Origin
    changes: tuple[str, ...]
    value: str | None
    error: str | None
    reasoning: str | None = None
    batch_id: str | None = None


@dataclass(frozen=True)
class StageExplanation:
    """A stage for one case.

    `changed_since` is the nearest earlier run of the experiment in which the stage had
    another identity, `None` if there is no such run; `changes` has a line for each
    setting that differs.
    """

    stage: str
    fingerprint: str
    changed_since: str | None
    changes: tuple[str, ...]
    rows: tuple[RowExplanation, ...]


@dataclass(frozen=True)
class Explanation:
    """A case through every stage of a run.

    `run_before` is the experiment's latest earlier run that has this case.
    """

    run_id: str
    dataset_id: str
    case_id: str
    run_before: str | None
    stages: tuple[StageExplanation, ...]


def explain(
    run: RunResult,
    case_id: str,
    *,
    dataset_id: str | None = None,
    sample_index: int | None = None,
) -> Explanation:
    """Return a case through every stage of a run, with one of its samples or all.

    Raise `DatasetError` for a dataset, case or sample that the run does not have, and
    for a case that several of its datasets have. Raise `StoreError` for a run whose
    tables are missing or cannot be read.
    """
    if not has_tables(run.manifest):
        reason = run.manifest.error or "it has not ended"
        raise StoreError(
            f"run {run.run_id!r} has no tables: {reason}; explain a run that came to its end"
        )
    try:
        dataset = _find_dataset(run, case_id, dataset_id)
        rows = case_rows(run, dataset, case_id)
        return _CaseHistory(run, rows).explain(sample_index)
    except (pa.ArrowException, OSError) as error:
        problem = " ".join(str(error).split())
        raise StoreError(
            f"a table of a run in {run.store.public_url!r} cannot be read ({problem}); "
            "check the store"
        ) from None


def _find_dataset(
    run: RunResult,
    case_id: str,
    dataset_id: str | None,
) -> str:
    """Return the dataset that is asked for, or the only one that has the case."""
    datasets = run.manifest.datasets
    if dataset_id is not None and dataset_id not in datasets:
        raise DatasetError(
            f"run {run.run_id!r} has no dataset {dataset_id!r}; {nearest(dataset_id, datasets)}"
        )
    is_case = pc.field("case_id") == case_id
    table = run.table("cases", columns=["dataset_id"], where=is_case)
    found: list[str] = table["dataset_id"].to_pylist()
    if dataset_id is not None and dataset_id in found:
        return dataset_id
    if dataset_id is None and len(found) == 1:
        return found[0]
    if dataset_id is None and found:
        names = ", ".join(map(repr, found))
        raise DatasetError(
            f"case {case_id!r} is in {len(found)} datasets; name one: {names}"
        )
    where = f"run {run.run_id!r}"
    if dataset_id is not None:
        where = f"dataset {dataset_id!r} of {where}"
    hint = _nearest_cases(run, case_id, dataset_id)
    raise DatasetError(f"{where} has no case {case_id!r}; {hint}")


def _nearest_cases(
    run: RunResult,
    case_id: str,
    dataset_id: str | None,
) -> str:
    """Return the cases of a run, or of one of its datasets, that are named alike."""
    names = []
    cases = run.table("cases", columns=["dataset_id", "case_id"])
    for row in cases.to_pylist():
        if dataset_id in (None, row["dataset_id"]):
            names.append(row["case_id"])
    close = difflib.get_close_matches(case_id, names, n=_NEAREST)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    examples = ", ".join(map(repr, names[:_NEAREST]))
    return f"its {len(names):,} cases are named like {examples}"


class _CaseHistory:
    """The rows of one case in a run, and in the experiment's earlier runs."""

    def __init__(
        self,
        run: RunResult,
        rows: CaseRows,
    ) -> None:
        self._run = run
        self._rows = rows
        self._case = rows.tables["cases"][0]
        self._origins = Origins(run)
        # Nearest first: that is the run whose differences explain most.
        self._earlier: list[Manifest] = []
        for manifest in reversed(self._origins.earlier):
            if manifest.name == run.manifest.name:
                self._earlier.append(manifest)
        self._before = self._rows_before()

    def explain(self, sample_index: int | None) -> Explanation:
        """Return the explanation of one sample, or of all."""
        stages = []
        for record in self._run.manifest.stages:
            rows = _rows_asked_for(self._rows, record, sample_index)
            since, changes = self._identity_changes(record)
            stage = StageExplanation(
                stage=record.stage,
                fingerprint=record.fingerprint,
                changed_since=since,
                changes=changes,
                rows=tuple(self._explain_rows(record, rows)),
            )
            stages.append(stage)
        return Explanation(
            run_id=self._run.run_id,
            dataset_id=self._case["dataset_id"],
            case_id=self._case["case_id"],
            run_before=self._before.manifest.run_id if self._before else None,
            stages=tuple(stages),
        )

    def _rows_before(self) -> CaseRows | None:
        """Return the case in the nearest earlier run that has it and can be read."""
        dataset_id, case_id = self._case["dataset_id"], self._case["case_id"]
        for manifest in self._earlier:
            other = RunResult(self._run.store, manifest.run_id, manifest)
            try:
                rows = case_rows(other, dataset_id, case_id)
            except (pa.ArrowException, OSError, StoreError):
                continue  # a damaged run is no obstacle to explaining another
            if rows.tables["cases"]:
                return rows
        return None

    def _explain_rows(
        self,
        record: StageRecord,
        rows: Sequence[Row],
    ) -> list[RowExplanation]:
        # A row without a key was not computed, and equals no other.
        keys = pa.array([row["key"] for row in rows if row["key"]], KEY.type)
        equal = rows_of(self._run, record, where=pc.field("key").isin(keys))
        counts = Counter(equal["key"].to_pylist())
        origins = self._origins.of(record, rows)
        explained = []
        for row, origin in zip(rows, origins, strict=True):
            key: bytes | None = row["key"]
            value = row[_VALUE_OF[record.name]]
            # Scores are numbers in the tables; every other result is JSON text there.
            if isinstance(value, float):
                value = canonical_json(value)
            explanation = RowExplanation(
                sample_index=None if _is_reduced(record) else row["sample_index"],
                metric_id=row.get("metric_id"),
                columns=self._rows.columns_read(record, row),
                key=key.hex() if key else None,
                equal_rows=counts[key],
                origin=origin,
                changes=self._column_changes(record, row),
                value=value,
                error=row["error"],
                reasoning=row.get("reasoning"),
                batch_id=batch_of(row.get("transport")),
            )
            explained.append(explanation)
        return explained

    def _identity_changes(
        self, record: StageRecord
    ) -> tuple[str | None, tuple[str, ...]]:
        """Return the nearest run in which a stage was another, and what differs."""
        for manifest in self._earlier:
            other = manifest.stage(record.stage)
            if other is None or other.fingerprint == record.fingerprint:
                continue
            lines = stage_differences(
                other.identity,
                record.identity,
                dependencies=(other.dependencies, record.dependencies),
                places=record.places,
            )
            if not lines:
                # A fingerprint covers more than the identity that is recorded.
                lines = ["no setting: the version of the tables, or the judges asked"]
            return manifest.run_id, tuple(lines)
        return None, ()

    def _column_changes(
        self,
        record: StageRecord,
        row: Row,
    ) -> tuple[str, ...]:
        """Return what a row reads now and did not read in the run before."""
        if self._before is None:
            return ()
        other = self._before.manifest.stage(record.stage)
        if other is None:
            return ()
        old = _same_row(self._before, other, row)
        if old is None:
            return ("the row is new",)
        read_then = self._before.columns_read(other, old)
        read_now = self._rows.columns_read(record, row)
        then: dict[str, Any] = {}
        now: dict[str, Any] = {}
        # A column that one of them does not read is a change of the stage, not the row.
        for name in read_now.keys() & read_then.keys():
            then[name] = load_json(read_then[name])
            now[name] = load_json(read_now[name])
        lines = differences(then, now)
        is_other_row = old["key"] and row["key"] and old["key"] != row["key"]
        if not lines and is_other_row and other.fingerprint == record.fingerprint:
            # The same computation on the same columns: only a judge reads more than these.
            return ("what the judge is asked, which no table holds",)
        return tuple(lines)


def _rows_asked_for(
    rows: CaseRows,
    record: StageRecord,
    sample_index: int | None,
) -> list[Row]:
    """Return the rows of one sample or of all; of `reduce`, always all."""
    every_row = rows.of(record)
    if not every_row:
        raise StoreError(
            f"run {rows.manifest.run_id!r} has lost its table of stage {record.stage}; "
            f"check the store"
        )
    if sample_index is None or _is_reduced(record):
        return every_row
    found = [row for row in every_row if row["sample_index"] == sample_index]
    if not found:
        last = len(every_row) - 1
        raise DatasetError(
            f"the case has no sample {sample_index}; its samples are 0 to {last}"
        )
    return found


def _is_reduced(record: StageRecord) -> bool:
    """Return whether a stage has rows for metrics, not for samples."""
    return record.name == "reduce"


def _same_row(
    before: CaseRows,
    record: StageRecord,
    row: Row,
) -> Row | None:
    """Return the row of the run before for the same sample or, reduced, metric."""
    name = "metric_id" if _is_reduced(record) else "sample_index"
    for old in before.of(record):
        if old[name] == row[name]:
            return old
    return None
