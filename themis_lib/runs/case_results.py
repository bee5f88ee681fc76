"""The cases of a run as objects, read from its tables one shard at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, overload

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
from themis_lib.runs.run_tables import RunTable
from themis_lib.stages.outputs import result_of

Row = Mapping[str, Any]
#: The rows of each case in one table, by dataset and case id.
RowsByCase = Mapping[tuple[str, str], Sequence[Row]]


class CaseResult(FrozenModel):
    """One case with everything made from it.

    Lists are in sample order, verdicts by judge.
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
        """The case after reduction, under the first metric.

        `None` for a run that stopped before.
        """
        return next(iter(self.reduced.values()), None)

    @property
    def final_scores(self) -> dict[str, float | None]:
        """The reduced score under each metric; `None` where there is none."""
        scores = {}
        for metric_id, result in self.reduced.items():
            if metric_id is not None:
                scores[metric_id] = result.score
        return scores


class CaseSequence(Sequence[CaseResult]):
    """The cases of a run; one shard of each table is in memory at a time."""

    def __init__(self, tables: Mapping[str, RunTable | None]) -> None:
        self._tables = {
            name: table for name, table in tables.items() if table is not None
        }
        cases = self._tables.get("cases")
        # A shard is a group of the cases; its end is the number of cases up to it.
        self._ends = list(accumulate(cases.group_sizes if cases else ()))
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
        shard = bisect_right(self._ends, position)
        start = self._ends[shard - 1] if shard else 0
        return self._load_shard(shard)[position - start]

    def __iter__(self) -> Iterator[CaseResult]:
        for shard in range(len(self._ends)):
            yield from self._load_shard(shard)

    def _load_shard(self, shard: int) -> list[CaseResult]:
        if self._loaded is None or self._loaded[0] != shard:
            rows = {}
            for name, table in self._tables.items():
                # Scores have a group for each metric of a shard, verdicts for each
                # judge, other tables one.
                groups = len(table.group_sizes) // len(self._ends)
                first = shard * groups
                part = table.read_groups(range(first, first + groups))
                rows[name] = part.to_pylist()
            self._loaded = (shard, _case_results(rows))
        return self._loaded[1]


def _case_results(rows: Mapping[str, list[dict[str, Any]]]) -> list[CaseResult]:
    """Return the cases of a shard, from the rows of its tables."""
    by_case: defaultdict[str, RowsByCase] = defaultdict(dict)
    for name, table in rows.items():
        groups: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in table:
            groups[row["dataset_id"], row["case_id"]].append(row)
        by_case[name] = groups
    results = []
    for row in rows["cases"]:
        case = row["dataset_id"], row["case_id"]
        reduced = {}
        for reduced_row in by_case["results"].get(case, ()):
            reduced[reduced_row["metric_id"]] = _load_reduced(reduced_row)
        outputs = by_case["outputs"].get(case, ())
        answers = by_case["answers"].get(case, ())
        # Constructed without validation: the rows were validated when they were made.
        result = CaseResult.model_construct(
            dataset_id=row["dataset_id"],
            case=_load_case(row),
            generated_candidates=[_load_candidate(output) for output in outputs],
            parsed_outputs=[_load_answer(answer) for answer in answers],
            verdicts=_load_verdicts(by_case["verdicts"].get(case, ())),
            scores=_load_scores(by_case["scores"].get(case, ())),
            reduced=reduced,
        )
        results.append(result)
    return results


def _load_case(row: Row) -> Case:
    metadata = {}
    for name, text in row["metadata"] or ():
        metadata[name] = metadata_value(text)
    return Case(
        case_id=row["case_id"],
        input=load_json(row["input"]),
        expected_output=load_json_or_null(row["expected_output"]),
        metadata=metadata,
    )


def _load_candidate(row: Row) -> GenerationResult:
    candidate_id = f"{row['case_id']}-{row['sample_index']}"
    return _load_output(
        row,
        candidate_id=candidate_id,
        seed=row["seed"],
    )


def _load_verdicts(rows: Sequence[Row]) -> dict[str, list[GenerationResult]]:
    verdicts: defaultdict[str, list[GenerationResult]] = defaultdict(list)
    for row in rows:
        verdicts[row["judge_id"]].append(_load_output(row))
    return dict(verdicts)


def _load_output(
    row: Row,
    **fields: Any,
) -> GenerationResult:
    counts = {name: row[name] for name in TokenUsage.model_fields}
    usage = None
    if any(count is not None for count in counts.values()):
        usage = TokenUsage(**counts)
    return result_of(
        row,
        **fields,
        sample_index=row["sample_index"],
        latency_s=row["latency_s"],
        usage=usage,
    )


def _load_answer(row: Row) -> ParsedOutput:
    value = load_json_or_null(row["value"])
    return ParsedOutput(
        value=value,
        format=row["format"],
        error=row["error"],
    )


def _load_scores(rows: Sequence[Row]) -> dict[str, list[Score | ScoreError]]:
    scores: defaultdict[str, list[Score | ScoreError]] = defaultdict(list)
    for row in rows:
        metric_id = row["metric_id"]
        details = load_json_or_null(row["details"])
        score: Score | ScoreError
        if row["score"] is None:
            reason = row["error"] or ""
            score = ScoreError(
                metric_id=metric_id,
                reason=reason,
                details=details,
            )
        else:
            score = Score(
                metric_id=metric_id,
                value=row["score"],
                details=details,
            )
        scores[metric_id].append(score)
    return dict(scores)


def _load_reduced(row: Row) -> ReducedCandidate:
    return ReducedCandidate(
        score=row["score"],
        sample_index=row["sample_index"],
        value=load_json_or_null(row["value"]),
        details=load_json_or_null(row["details"]),
        error=row["error"],
    )
