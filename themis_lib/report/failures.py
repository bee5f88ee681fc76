"""The failed rows of a run, each with the stage that failed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import first_few
from themis_lib.report.markdown import (
    STAGE_OF,
    short,
)
from themis_lib.runs.results import RunResult
from themis_lib.storage.tables import RUN_TABLES

#: Stage, dataset, case, sample and reason of a failed row.
FailedRow = tuple[str, str, str, str, str]
FAILURE_HEADINGS = ("stage", "dataset", "case", "sample", "reason")


@dataclass(frozen=True)
class Failures:
    """The first failed rows under `FAILURE_HEADINGS`, and the number of all."""

    rows: list[FailedRow]
    count: int


def failed_rows(
    result: RunResult,
    *,
    limit: int,
) -> Failures:
    """Return the rows of a run that failed, and at most `limit` of them in full.

    A row that only passes on the error of an earlier stage is not repeated.
    """
    rows: list[FailedRow] = []
    failed_cases: set[tuple[str, str]] = set()
    count = 0
    for name, stage in STAGE_OF.items():
        # Tables differ in their ids: verdicts have a judge, results have no sample.
        columns = []
        for column in RUN_TABLES[name].names:
            if column.endswith("_id") or column in ("sample_index", "key", "error"):
                columns.append(column)
        table = result.table(name, columns=columns)
        # A row without a key was not computed: its error is an earlier stage's.
        is_own = table["key"].is_valid()
        table = table.filter(pc.and_(is_own, table["error"].is_valid()))
        dataset_ids = table["dataset_id"].to_pylist()
        case_ids = table["case_id"].to_pylist()
        cases = list(zip(dataset_ids, case_ids, strict=True))
        if name == "results":
            # A reduced row has a key of its own even where its samples failed.
            is_new = []
            for case in cases:
                is_new.append(case not in failed_cases)
            table = table.filter(pa.array(is_new, pa.bool_()))
        failed_cases.update(cases)
        count += table.num_rows
        # Only as many rows as are still shown become Python objects.
        for row in table.slice(0, limit - len(rows)).to_pylist():
            rows.append(_failure_cells(stage, row))
    return Failures(rows, count)


def failure_lines(failures: Failures) -> list[str]:
    """Return a line for each stage and reason, with the first cases.

    >>> rows = [("generate", "d", case, "0", "503") for case in "ab"]
    >>> failure_lines(Failures(rows, 2))
    ['generate: 2 failed row(s) (a, b): 503']
    """
    cases_of: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for stage, _, case, _, reason in failures.rows:
        cases_of[stage, reason].append(case)
    lines = []
    for (stage, reason), cases in cases_of.items():
        lines.append(
            f"{stage}: {len(cases):,} failed row(s) ({first_few(cases)}): {reason}"
        )
    return lines


def _failure_cells(
    stage: str,
    row: dict[str, Any],
) -> FailedRow:
    parts = []
    for name in ("metric_id", "judge_id"):
        if row.get(name):
            parts.append(row[name])
    label = f"{stage}[{':'.join(parts)}]" if parts else stage
    # A reduced row may have no sample: its score is made of all.
    sample = row.get("sample_index")
    return (
        label,
        row["dataset_id"],
        row["case_id"],
        "" if sample is None else str(sample),
        short(row["error"]),
    )
