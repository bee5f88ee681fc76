"""What a run gives back: its status, counts and summary at once, its cases and tables
when they are looked at.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, overload

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from themis_lib.core.metadata import metadata_value
from themis_lib.core.models import (
    Case,
    FrozenModel,
    GenerationResult,
    ParsedOutput,
    ReducedCandidate,
    Score,
    ScoreError,
    TokenUsage,
)
from themis_lib.identity.digests import load_json, load_json_or_null
from themis_lib.runs.agreement import AgreementRecord
from themis_lib.runs.manifest import Manifest, RunStatus, StageRecord, read_manifest
from themis_lib.runs.run_tables import RunTableFile, open_run_table
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stages.outputs import result_of
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import RUN_TABLES


class SummaryRow(FrozenModel):
    """One dataset, slice and metric: `n` cases with a score, `errors` without; see
    `StatisticsConfig`.

    `mean` is over the cases with a score (`error_policy` `exclude`), over all with 0
    for those without (`zero`), or null where there are any without (`fail`). `clusters`
    is null for cases taken as independent.
    """

    dataset_id: str
    slice: str
    metric_id: str
    n: int
    errors: int
    error_policy: Literal["exclude", "zero", "fail"] = "exclude"
    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    interval_method: str | None
    clusters: int | None = None
    between_variance: float | None = None
    within_variance: float | None = None


class CaseResult(FrozenModel):
    """One case with everything that was made of it; lists are in sample order, verdicts
    by judge.
    """

    dataset_id: str
    case: Case
    generated_candidates: list[GenerationResult]
    parsed_outputs: list[ParsedOutput]
    verdicts: dict[str, list[GenerationResult]] = Field(default_factory=dict)
    scores: dict[str, list[Score | ScoreError]]
    reduced: dict[str | None, ReducedCandidate]

    @property
    def reduced_candidate(self) -> ReducedCandidate | None:
        """The case after reduction, under the first metric; null for a run that stopped
        before.
        """
        return next(iter(self.reduced.values()), None)

    @property
    def final_scores(self) -> dict[str, float | None]:
        """The reduced score under each metric; null where there is none."""
        return {
            metric_id: item.score
            for metric_id, item in self.reduced.items()
            if metric_id is not None
        }


class RunResult:
    """A finished run in a store. Raises `StoreError` when the store has no such run."""

    def __init__(
        self, store: RunStore, run_id: str, manifest: Manifest | None = None
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.manifest: Manifest = manifest or read_manifest(store, run_id)

    def __repr__(self) -> str:
        return f"RunResult(run_id={self.run_id!r}, status={self.status.value!r})"

    @property
    def status(self) -> RunStatus:
        """How the run ended."""
        return self.manifest.status

    @property
    def progress(self) -> dict[str, StageRecord]:
        """Rows computed, cached and failed, by stage."""
        return {record.stage: record for record in self.manifest.stages}

    @property
    def agreement(self) -> list[AgreementRecord]:
        """How far metrics agree with labels, where `evaluation.agreement` asks."""
        return self.manifest.agreement

    @property
    def location(self) -> str:
        """The address of the run's tables."""
        return self.store.uri(f"runs/{self.run_id}")

    @cached_property
    def summary(self) -> list[SummaryRow]:
        """One row for each dataset, slice and metric."""
        return [SummaryRow(**row) for row in self.table("summary").to_pylist()]

    @property
    def failure(self) -> str | None:
        """What fails a run that came to its end: scores that `errors: fail` does not
        let be missing; else null.
        """
        missing = [
            row
            for row in self.summary
            if row.error_policy == "fail" and row.errors and row.slice == ALL_CASES
        ]
        if not missing:
            return None
        found = "; ".join(
            f"{row.errors:,} of {row.n + row.errors:,} cases of {row.dataset_id!r} have no {row.metric_id}"
            for row in missing
        )
        return f"{found} (evaluation.statistics.errors is `fail`)"

    def table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """A table of the run by its name in `tables.RUN_TABLES`, or some of its
        columns, or the rows `where` something holds, without the others in memory;
        empty if the run stopped.
        """
        file = open_run_table(self.store, self.run_id, name)
        if file is None:
            names = list(columns or RUN_TABLES[name].names)
            return RUN_TABLES[name].empty_table().select(names)
        with contextlib.closing(file):
            return file.read(columns, where=where)

    @cached_property
    def cases(self) -> CaseSequence:
        """The cases in the order of the datasets, read as they are looked at."""
        return CaseSequence(
            {
                name: open_run_table(self.store, self.run_id, name)
                for name in RUN_TABLES
                if name != "summary"
            }
        )


class CaseSequence(Sequence[CaseResult]):
    """The cases of a run; one shard of each table is in memory at a time."""

    def __init__(self, files: Mapping[str, RunTableFile | None]) -> None:
        self._files = {name: file for name, file in files.items() if file is not None}
        cases = self._files.get("cases")
        sizes = cases.group_sizes if cases else []
        self._ends = list(accumulate(sizes))
        self._loaded: tuple[int, list[CaseResult]] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> CaseResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[CaseResult]: ...
    def __getitem__(self, index: int | slice) -> CaseResult | list[CaseResult]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"case {index} of {len(self)}")
        group = next(number for number, end in enumerate(self._ends) if position < end)
        start = self._ends[group - 1] if group else 0
        return self._group(group)[position - start]

    def __iter__(self) -> Iterator[CaseResult]:
        for group in range(len(self._ends)):
            yield from self._group(group)

    def _group(self, group: int) -> list[CaseResult]:
        if self._loaded is None or self._loaded[0] != group:
            self._loaded = (group, _case_results(self._read(group)))
        return self._loaded[1]

    def _read(self, group: int) -> dict[str, list[dict[str, Any]]]:
        """The rows of one shard by table; scores have a row group for each metric,
        verdicts for each judge.
        """
        rows = {}
        for name, file in self._files.items():
            each = len(file.group_sizes) // len(self._ends)
            groups = list(range(group * each, (group + 1) * each))
            rows[name] = file.read_groups(groups).to_pylist()
        return rows


def _case_results(rows: Mapping[str, list[dict[str, Any]]]) -> list[CaseResult]:
    of_case = {name: _by_case(table) for name, table in rows.items()}

    def rows_of(name: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        return of_case.get(name, {}).get((row["dataset_id"], row["case_id"]), [])

    return [
        CaseResult.model_construct(
            dataset_id=row["dataset_id"],
            case=_case(row),
            generated_candidates=[
                _candidate(output) for output in rows_of("outputs", row)
            ],
            parsed_outputs=[_answer(answer) for answer in rows_of("answers", row)],
            verdicts=_verdicts(rows_of("verdicts", row)),
            scores=_scores(rows_of("scores", row)),
            reduced={
                result["metric_id"]: _reduced(result)
                for result in rows_of("results", row)
            },
        )
        for row in rows["cases"]
    ]


def _by_case(
    rows: Sequence[dict[str, Any]],
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    grouped: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["dataset_id"], row["case_id"]].append(row)
    return grouped


def _case(row: Mapping[str, Any]) -> Case:
    return Case(
        case_id=row["case_id"],
        input=load_json(row["input"]),
        expected_output=load_json_or_null(row["expected_output"]),
        metadata={name: metadata_value(text) for name, text in row["metadata"] or []},
    )


def _candidate(row: dict[str, Any]) -> GenerationResult:
    return _generated(
        row, candidate_id=f"{row['case_id']}-{row['sample_index']}", seed=row["seed"]
    )


def _verdicts(rows: Sequence[dict[str, Any]]) -> dict[str, list[GenerationResult]]:
    verdicts: defaultdict[str, list[GenerationResult]] = defaultdict(list)
    for row in rows:
        verdicts[row["judge_id"]].append(_generated(row))
    return dict(verdicts)


def _generated(row: dict[str, Any], **fields: Any) -> GenerationResult:
    usage = {name: row[name] for name in TokenUsage.model_fields}
    return result_of(
        row,
        **fields,
        sample_index=row["sample_index"],
        latency_s=row["latency_s"],
        usage=TokenUsage(**usage)
        if any(value is not None for value in usage.values())
        else None,
    )


def _answer(row: Mapping[str, Any]) -> ParsedOutput:
    value = load_json_or_null(row["value"])
    return ParsedOutput(value=value, format=row["format"], error=row["error"])


def _scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Score | ScoreError]]:
    scores: defaultdict[str, list[Score | ScoreError]] = defaultdict(list)
    for row in rows:
        details = load_json_or_null(row["details"])
        metric_id = row["metric_id"]
        scores[metric_id].append(
            ScoreError(metric_id=metric_id, reason=row["error"] or "", details=details)
            if row["score"] is None
            else Score(metric_id=metric_id, value=row["score"], details=details)
        )
    return dict(scores)


def _reduced(row: Mapping[str, Any]) -> ReducedCandidate:
    return ReducedCandidate(
        score=row["score"],
        sample_index=row["sample_index"],
        value=load_json_or_null(row["value"]),
        details=load_json_or_null(row["details"]),
        error=row["error"],
    )
