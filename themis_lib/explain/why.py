"""Why the rows of one case are what they are: what each stage read, where each row
comes from, and what has changed.

Nothing is computed: everything is looked up in the tables of runs and in the store.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import DatasetError, StoreError, nearest
from themis_lib.explain.case_rows import CaseRows, Row, case_rows
from themis_lib.explain.origins import Origin, Origins
from themis_lib.explain.plan import differences
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.runs.inventory import has_tables, rows_of
from themis_lib.runs.manifest import Manifest, StageRecord
from themis_lib.runs.results import RunResult
from themis_lib.storage.tables import KEY

_NEAREST = 3
#: The column that holds what a stage makes of a row.
_VALUE_OF = {
    "generate": "output",
    "parse": "value",
    "judge": "output",
    "score": "score",
    "reduce": "score",
}


@dataclass(frozen=True)
class RowExplanation:
    """A row of a stage, of one sample or, once these are reduced, of one metric;
    `value` is JSON text.

    `columns` are what its key covers, as JSON text; for a judge, what its request was
    made of. `changes` say what of them differs from the same row in the run before.
    `equal_rows` counts the rows of this run under the key, which share one row of the
    store.
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


@dataclass(frozen=True)
class StageExplanation:
    """A stage for one case. `changes` say what of its identity differs from
    `changed_since`, the nearest earlier run of the experiment in which it had another;
    null where there is none.
    """

    stage: str
    fingerprint: str
    changed_since: str | None
    changes: tuple[str, ...]
    rows: tuple[RowExplanation, ...]


@dataclass(frozen=True)
class Explanation:
    """A case through every stage of a run; `run_before` is the experiment's run before
    that has this case.
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
    """A case through every stage of a run, with one of its samples or all.

    Raises `DatasetError` for a dataset, case or sample that the run does not have and
    for a case that several of its datasets have, `StoreError` for a run whose tables
    are not there or cannot be read.
    """
    if not has_tables(run.manifest):
        reason = run.manifest.error or "it has not ended"
        raise StoreError(
            f"run {run.run_id!r} has no tables: {reason}; explain a run that came to its end"
        )
    try:
        dataset = _dataset_of(run, case_id, dataset_id)
        rows = case_rows(run, dataset, case_id)
        return _explain_rows(run, rows, sample_index)
    except (pa.ArrowException, OSError) as error:
        problem = " ".join(str(error).split())
        raise StoreError(
            f"a table of a run in {run.store.url!r} cannot be read ({problem}); check the store"
        ) from None


def _dataset_of(
    run: RunResult,
    case_id: str,
    dataset_id: str | None,
) -> str:
    """The dataset that is asked for, or the only one that has the case."""
    datasets = run.manifest.datasets
    if dataset_id is not None and dataset_id not in datasets:
        raise DatasetError(
            f"run {run.run_id!r} has no dataset {dataset_id!r}; {nearest(dataset_id, datasets)}"
        )
    table = run.table(
        "cases",
        columns=["dataset_id"],
        where=pc.field("case_id") == case_id,
    )
    found: list[str] = table["dataset_id"].to_pylist()
    wanted = [name for name in found if dataset_id in (None, name)]
    if len(wanted) > 1:
        raise DatasetError(
            f"case {case_id!r} is in {len(found)} datasets; name one: {', '.join(map(repr, found))}"
        )
    if wanted:
        return wanted[0]
    cases = run.table("cases", columns=["dataset_id", "case_id"]).to_pylist()
    names = [row["case_id"] for row in cases if dataset_id in (None, row["dataset_id"])]
    where = (
        f"run {run.run_id!r}"
        if dataset_id is None
        else f"dataset {dataset_id!r} of run {run.run_id!r}"
    )
    raise DatasetError(
        f"{where} has no case {case_id!r}; {_nearest_cases(case_id, names)}"
    )


def _nearest_cases(
    case_id: str,
    names: list[str],
) -> str:
    close = difflib.get_close_matches(case_id, names, n=_NEAREST)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"its {len(names):,} cases are named like {', '.join(map(repr, names[:_NEAREST]))}"


def _explain_rows(
    run: RunResult,
    rows: CaseRows,
    sample_index: int | None,
) -> Explanation:
    origins = Origins(run)
    earlier = [
        other for other in reversed(origins.earlier) if other.name == run.manifest.name
    ]
    case = rows.tables["cases"][0]
    before = _rows_before(run, earlier, case)
    stages = []
    for record in run.manifest.stages:
        found = _rows_asked_for(rows, record, sample_index)
        counts = _equal_rows(run, record, found)
        since, changes = _identity_changes(record, earlier)
        explained = [
            RowExplanation(
                sample_index=None if _is_reduced(record) else row["sample_index"],
                metric_id=row.get("metric_id"),
                columns=rows.columns_read(record, row),
                key=row["key"].hex() if row["key"] else None,
                equal_rows=counts[row["key"]],
                origin=origin,
                changes=_column_changes(
                    rows,
                    before,
                    record,
                    row,
                ),
                value=_row_value(record, row),
                error=row["error"],
            )
            for row, origin in zip(found, origins.of(record, found), strict=True)
        ]
        stages.append(
            StageExplanation(
                record.stage,
                record.fingerprint,
                since,
                changes,
                tuple(explained),
            )
        )
    return Explanation(
        run_id=run.run_id,
        dataset_id=case["dataset_id"],
        case_id=case["case_id"],
        run_before=before.manifest.run_id if before else None,
        stages=tuple(stages),
    )


def _rows_asked_for(
    rows: CaseRows,
    record: StageRecord,
    sample_index: int | None,
) -> list[Row]:
    """The rows of one sample of the case or of all; those that samples are reduced to
    in any case.
    """
    every = rows.of(record)
    if not every:
        raise StoreError(
            f"run {rows.manifest.run_id!r} has lost its table of stage {record.stage}; "
            f"check the store"
        )
    if sample_index is None or _is_reduced(record):
        return every
    found = [row for row in every if row["sample_index"] == sample_index]
    if not found:
        raise DatasetError(
            f"the case has no sample {sample_index}; its samples are 0 to {len(every) - 1}"
        )
    return found


def _is_reduced(record: StageRecord) -> bool:
    return record.stage == "reduce"


def _rows_before(
    run: RunResult,
    earlier: Iterable[Manifest],
    case: Row,
) -> CaseRows | None:
    """The case in the nearest of earlier runs that has it and can be read."""
    for manifest in earlier:
        other = RunResult(run.store, manifest.run_id, manifest)
        try:
            rows = case_rows(other, case["dataset_id"], case["case_id"])
        except (pa.ArrowException, OSError):
            continue
        if rows.tables["cases"]:
            return rows
    return None


def _equal_rows(
    run: RunResult,
    record: StageRecord,
    rows: Iterable[Row],
) -> Counter[bytes | None]:
    """How many rows of one stage have each of the keys; 0 for a row without one."""
    keys = pa.array([row["key"] for row in rows if row["key"]], KEY.type)
    return Counter(
        rows_of(run, record, where=pc.field("key").isin(keys))["key"].to_pylist()
    )


def _identity_changes(
    record: StageRecord,
    earlier: Iterable[Manifest],
) -> tuple[str | None, tuple[str, ...]]:
    """The nearest of earlier runs in which a stage had another fingerprint, and what
    differs.
    """
    for manifest in earlier:
        for other in manifest.stages:
            if other.stage == record.stage and other.fingerprint != record.fingerprint:
                lines = differences(other.identity, record.identity)
                return manifest.run_id, tuple(lines) or (
                    "no setting: the version of the tables, or the judges asked",
                )
    return None, ()


def _column_changes(
    rows: CaseRows,
    before: CaseRows | None,
    record: StageRecord,
    row: Row,
) -> tuple[str, ...]:
    """Return what a row reads now and did not read in the run before."""
    if before is None:
        return ()
    other = _stage_labelled(before.manifest, record.stage)
    if other is None:
        return ()
    old = _same_row(before, other, row)
    if old is None:
        return ("the row is new",)
    read_then = before.columns_read(other, old)
    read_now = rows.columns_read(record, row)
    then: dict[str, Any] = {}
    now: dict[str, Any] = {}
    for name in read_now:
        if name in read_then:
            then[name] = load_json(read_then[name])
            now[name] = load_json(read_now[name])
    lines = differences(then, now)
    is_other_row = old["key"] and row["key"] and old["key"] != row["key"]
    if not lines and is_other_row and other.fingerprint == record.fingerprint:
        # The same computation on the same columns: only a judge reads more than these.
        return ("what the judge is asked, which no table holds",)
    return tuple(lines)


def _stage_labelled(manifest: Manifest, label: str) -> StageRecord | None:
    for record in manifest.stages:
        if record.stage == label:
            return record
    return None


def _same_row(before: CaseRows, record: StageRecord, row: Row) -> Row | None:
    """Return the row of the run before for the same sample, or the same metric."""
    name = "metric_id" if _is_reduced(record) else "sample_index"
    for old in before.of(record):
        if old[name] == row[name]:
            return old
    return None


def _row_value(
    record: StageRecord,
    row: Row,
) -> str | None:
    """What the stage made of the row, as JSON text."""
    value = row[_VALUE_OF[record.stage.partition("[")[0]]]
    return canonical_json(value) if isinstance(value, float) else value
