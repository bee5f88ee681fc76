"""The cases of a run with their scores, and how the cases of two runs are matched: by
dataset and content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.comparison.models import Unmatched
from themis_lib.errors import ConfigError, StoreError, nearest
from themis_lib.runs.manifest import RunStatus
from themis_lib.runs.results import RunResult

Floats = npt.NDArray[np.float64]
#: Dataset, input and expected output as JSON, and how many earlier cases of the dataset
#: are equal to it.
Content = tuple[str, str, str | None, int]
_NO_VALUE = (
    "null"  # as tables and summaries write null; the text is written with quotes
)


@dataclass
class ScoredCases:
    """The cases of a run in order, and under each metric their reduced scores, NaN
    where a case has none.
    """

    run_id: str
    dataset_ids: list[str]
    case_ids: list[str]
    contents: list[Content]
    metadata: Sequence[Mapping[str, str]]
    scores: dict[str, Floats] = field(default_factory=dict)

    def column(
        self,
        name: str,
        rows: npt.NDArray[np.int64],
    ) -> list[str | None]:
        """A metadata column of some cases; null for a case that lacks it. Raises
        `ConfigError` where all do.
        """
        values = [_text_or_none(self.metadata[row].get(name)) for row in rows]
        if all(value is None for value in values):
            known = sorted({column for row in rows for column in self.metadata[row]})
            hint = nearest(name, known) if known else "no case has any"
            raise ConfigError(
                f"run {self.run_id!r}: no case has metadata {name!r}; {hint}"
            )
        return values


@dataclass
class Matched:
    """Rows of the same cases in two runs, in the baseline's order, and the cases of
    either that have no partner.
    """

    baseline: npt.NDArray[np.int64]
    candidate: npt.NDArray[np.int64]
    unmatched: list[Unmatched]


def _text_or_none(text: str | None) -> str | None:
    return None if text == _NO_VALUE else text


def scored_cases(result: RunResult) -> ScoredCases:
    """The scored cases of a run. Raises `ConfigError` for a run without scores,
    `StoreError` for tables that cannot be read.
    """
    try:
        table = result.table("cases")
        results = result.table(
            "results",
            columns=[
                "dataset_id",
                "case_id",
                "metric_id",
                "score",
            ],
        )
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"a table of run {result.run_id!r} in {result.location} cannot be read: {error}"
        ) from None
    metadata = [dict(pairs or []) for pairs in table["metadata"].to_pylist()]
    columns = [
        table[name].to_pylist()
        for name in ("dataset_id", "case_id", "input", "expected_output")
    ]
    dataset_ids, case_ids, inputs, expected = columns
    seen: defaultdict[tuple[str, str, str | None], int] = defaultdict(int)
    contents = []
    for content in zip(
        dataset_ids,
        inputs,
        expected,
        strict=True,
    ):
        contents.append((*content, seen[content]))
        seen[content] += 1
    cases = ScoredCases(
        result.run_id,
        dataset_ids,
        case_ids,
        contents,
        metadata,
    )
    rows = {ids: row for row, ids in enumerate(zip(dataset_ids, case_ids, strict=True))}
    for dataset_id, case_id, metric_id, score in zip(
        *(column.to_pylist() for column in results), strict=True
    ):
        if metric_id is None:
            continue
        if metric_id not in cases.scores:
            cases.scores[metric_id] = np.full(len(rows), np.nan)
        if score is not None:
            cases.scores[metric_id][rows[dataset_id, case_id]] = score
    if not cases.scores:
        raise ConfigError(
            f"run {result.run_id!r} has no scores to compare: {_why_none(result)}"
        )
    return cases


def _why_none(result: RunResult) -> str:
    if result.status is RunStatus.RUNNING:
        return "it is still under way"
    if result.manifest.until_stage != "reduce":
        return f"it went until {result.manifest.until_stage!r}"
    if any(record.stage.startswith("score[") for record in result.manifest.stages):
        return result.manifest.error or f"its tables are no longer in {result.location}"
    return result.manifest.error or "it has no metric"


def matched(
    baseline: ScoredCases,
    candidate: ScoredCases,
) -> Matched:
    """Match the cases of two runs by dataset, input and expected output, equal ones in
    their order.

    Raises `ConfigError` where no case has a partner.
    """
    row_of = {content: row for row, content in enumerate(candidate.contents)}
    pairs = [
        (row, row_of[content])
        for row, content in enumerate(baseline.contents)
        if content in row_of
    ]
    if not pairs:
        raise ConfigError(
            f"runs {baseline.run_id!r} and {candidate.run_id!r} have no case in common, of datasets "
            f"{_dataset_names(baseline)} and {_dataset_names(candidate)}; cases are the same if dataset, input and expected output are"
        )
    partners = [set(side) for side in zip(*pairs, strict=True)]
    only = [
        _left_over(side, known)
        for side, known in zip((baseline, candidate), partners, strict=True)
    ]
    unmatched = [
        Unmatched(
            run_id=candidate.run_id,
            dataset_id=name,
            only_in_baseline=only[0].get(name, []),
            only_in_candidate=only[1].get(name, []),
        )
        for name in dict.fromkeys([*only[0], *only[1]])
    ]
    rows_before, rows_after = np.array(pairs, np.int64).T
    return Matched(rows_before, rows_after, unmatched)


def _left_over(
    cases: ScoredCases,
    known: set[int],
) -> dict[str, list[str]]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for row, (dataset_id, case_id) in enumerate(
        zip(cases.dataset_ids, cases.case_ids, strict=True)
    ):
        if row not in known:
            names[dataset_id].append(case_id)
    return names


def _dataset_names(cases: ScoredCases) -> str:
    return " and ".join(map(repr, dict.fromkeys(cases.dataset_ids)))


def slice_names(
    column: str,
    values: Sequence[str | None],
) -> list[str]:
    """The slice of each case over a metadata column, as summaries name it."""
    return [f"{column}={_NO_VALUE if value is None else value}" for value in values]


def cluster_numbers(values: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """A number for each case, the same for the cases of one cluster; a case without a
    value is a cluster by itself.
    """
    names = [row if value is None else value for row, value in enumerate(values)]
    numbers: dict[str | int, int] = {}
    return np.array(
        [numbers.setdefault(name, len(numbers)) for name in names], np.int64
    )
