"""The rows of a run that have an error in place of a value, with the stage that says
so.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import first_few
from themis_lib.report.markdown import STAGE_OF, short
from themis_lib.runs.results import RunResult
from themis_lib.storage.tables import RUN_TABLES

FAILURE_HEADINGS = ("stage", "dataset", "case", "sample", "reason")


@dataclass(frozen=True)
class Failures:
    """The first failed rows under `FAILURE_HEADINGS`, and how many there are in all."""

    rows: list[tuple[str, str, str, str, str]]
    count: int


def failed_rows(
    result: RunResult,
    *,
    limit: int,
) -> Failures:
    """The rows that failed in a stage of their own; what only passes on an earlier
    stage's error is not repeated.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    cases: set[tuple[str, str]] = set()
    count = 0
    for name, stage in STAGE_OF.items():
        table = _own_errors(result, name)
        found = [
            (row["dataset_id"], row["case_id"])
            for row in table.select(["dataset_id", "case_id"]).to_pylist()
        ]
        if name == "results":
            table = table.filter(
                pa.array([case not in cases for case in found], pa.bool_())
            )
        cases.update(found)
        count += table.num_rows
        rows += [
            _failure_cells(stage, row)
            for row in table.slice(0, limit - len(rows)).to_pylist()
        ]
    return Failures(rows, count)


def failure_lines(failures: Failures) -> list[str]:
    """A line for each stage and reason, naming the first cases.

    >>> failure_lines(Failures([("generate", "d", "a", "0", "503"), ("generate", "d", "b", "0", "503")], 2))
    ['generate: 2 failed row(s) (a, b): 503']
    """
    grouped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for stage, _, case, _, reason in failures.rows:
        grouped[stage, reason].append(case)
    return [
        f"{stage}: {len(cases):,} failed row(s) ({first_few(cases)}): {reason}"
        for (stage, reason), cases in grouped.items()
    ]


def _own_errors(
    result: RunResult,
    name: str,
) -> pa.Table:
    ids = [
        column
        for column in RUN_TABLES[name].names
        if column.endswith("_id") or column == "sample_index"
    ]
    table = result.table(name, columns=list(dict.fromkeys([*ids, "key", "error"])))
    return table.filter(pc.and_(table["key"].is_valid(), table["error"].is_valid()))


def _failure_cells(
    stage: str,
    row: dict[str, Any],
) -> tuple[str, str, str, str, str]:
    part = ":".join(row[name] for name in ("metric_id", "judge_id") if row.get(name))
    label = f"{stage}[{part}]" if part else stage
    sample = row.get("sample_index")
    return (
        label,
        row["dataset_id"],
        row["case_id"],
        "" if sample is None else str(sample),
        short(row["error"]),
    )
