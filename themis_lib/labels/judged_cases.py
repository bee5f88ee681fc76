"""The cases of a run whose mean labels correct: the rows of each, scored and labelled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import ConfigError
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.runs.results import RunResult
from themis_lib.runs.score_groups import UNANSWERED
from themis_lib.stages.missing import Missing, missing_kind
from themis_lib.stats.clusters import Floats
from themis_lib.stats.prediction_powered import JudgedRows

Integers = npt.NDArray[np.int64]
#: What a sample without an answer may count in the mean of its case.
_UNANSWERED = (0.0, 1.0)
#: Means are sums in another order: they differ by rounding.
_ROUNDING = 1e-9

_CaseKey = tuple[str, str]


@dataclass(frozen=True)
class LabelledRow:
    """One sample that counts in the score of its case.

    `label` is NaN without a label that is part of the probability sample. `outside` says
    that there is one which is not, `labels` has each labeller's, of those that are.
    `item` is what was labelled: rows of one item share their labels. A `known` row has
    its score for certain, as a sample without an answer.
    """

    score: float
    label: float = math.nan
    probability: float = math.nan
    outside: bool = False
    known: bool = False
    labels: tuple[tuple[str, float], ...] = ()
    item: str | None = None


@dataclass(frozen=True)
class JudgedCases:
    """The rows behind the score of each case of a run, in the order of its cases.

    `scores` are the cases' own: NaN for a case that failed, `UNANSWERED` for one without
    an answer. These have no rows.
    """

    run_id: str
    metric_id: str
    dataset_ids: list[str]
    case_ids: list[str]
    scores: Floats
    rows: list[list[LabelledRow]]

    @staticmethod
    def of(
        run: RunResult,
        metric_id: str,
    ) -> JudgedCases:
        """Return the cases of a run under a metric.

        The score of a case is that of the sample that its reducer chose, or the mean of
        its samples. Raise `ConfigError` for another one, as of pass@k: labels say
        nothing about it.
        """
        cases = run.table("cases", columns=["dataset_id", "case_id"])
        samples = _samples_by_case(run, metric_id)
        results = run.table(
            "results",
            columns=[
                "dataset_id",
                "case_id",
                "sample_index",
                "score",
                "reducer",
                "missing",
                "error",
            ],
            where=pc.field("metric_id") == metric_id,
        )
        result_of = {}
        for row in results.to_pylist():
            result_of[row["dataset_id"], row["case_id"]] = row
        dataset_ids = cases["dataset_id"].to_pylist()
        case_ids = cases["case_id"].to_pylist()
        scores = np.full(len(case_ids), np.nan)
        rows: list[list[LabelledRow]] = []
        for place, key in enumerate(zip(dataset_ids, case_ids, strict=True)):
            result = result_of.get(key)
            rows.append([])
            if result is None:
                continue
            scores[place] = _score_of(result)
            if result["score"] is not None:
                rows[-1] = _counted_rows(result, samples.get(key, _Samples({}, 0)))
                if not rows[-1]:
                    raise ConfigError(_no_mean_text(run, metric_id, result))
        return JudgedCases(run.run_id, metric_id, dataset_ids, case_ids, scores, rows)

    def count_labels(self, places: Integers) -> int:
        """Return how many items of some cases have a label that counts."""
        items = set()
        for place in places.tolist():
            items |= {row.item for row in self.rows[place] if not math.isnan(row.label)}
        return len(items)

    def judged_rows(
        self,
        places: Integers,
        counted: Floats,
    ) -> JudgedRows:
        """Return the rows of some cases, numbered in this order.

        `counted` are the cases' scores; it is what a case without rows counts as.
        """
        every: list[LabelledRow] = []
        cases: list[int] = []
        for number, (place, score) in enumerate(
            zip(places.tolist(), counted.tolist(), strict=True)
        ):
            of_case = self.rows[place] or [LabelledRow(score, known=True)]
            every += of_case
            cases += [number] * len(of_case)
        return JudgedRows(
            scores=np.array([row.score for row in every], np.float64),
            labels=np.array([row.label for row in every], np.float64),
            probabilities=np.array([row.probability for row in every], np.float64),
            cases=np.array(cases, np.int64),
            known=np.array([row.known for row in every], bool),
            items=_item_numbers(every),
        )


def _item_numbers(rows: Sequence[LabelledRow]) -> Integers:
    """Return a number for each row, shared by the rows of an item."""
    numbers: dict[str | int, int] = {}
    found = []
    for at, row in enumerate(rows):
        # A row without a label shares none.
        name = at if row.item is None else row.item
        found.append(numbers.setdefault(name, len(numbers)))
    return np.array(found, np.int64)


@dataclass(frozen=True)
class _Samples:
    """The scored samples of a case by number, and how many others have no answer."""

    scored: Mapping[int, LabelledRow]
    unanswered: int


def _samples_by_case(
    run: RunResult,
    metric_id: str,
) -> dict[_CaseKey, _Samples]:
    scored: dict[_CaseKey, dict[int, LabelledRow]] = {}
    for row in labelled_scores(run, metric_id).to_pylist():
        key = row["dataset_id"], row["case_id"]
        scored.setdefault(key, {})[row["sample_index"]] = _labelled_row(row)
    unanswered: dict[_CaseKey, int] = {}
    # Only where a case has several samples can some have no score and the case one.
    if len(run.manifest.seeds) > 1:
        for row in _unscored(run, metric_id).to_pylist():
            if missing_kind(row["error"]) is Missing.NO_ANSWER:
                key = row["dataset_id"], row["case_id"]
                unanswered[key] = unanswered.get(key, 0) + 1
    found = {}
    for key, of_case in scored.items():
        found[key] = _Samples(of_case, unanswered.get(key, 0))
    return found


def _unscored(
    run: RunResult,
    metric_id: str,
) -> pa.Table:
    is_missing = pc.field("score").is_null()
    return run.table(
        "scores",
        columns=["dataset_id", "case_id", "error"],
        where=(pc.field("metric_id") == metric_id) & is_missing,
    )


def _labelled_row(row: Mapping[str, Any]) -> LabelledRow:
    if row["label"] is None:
        return LabelledRow(row["score"])
    if row["inclusion_probability"] is None:
        return LabelledRow(row["score"], outside=True)
    return LabelledRow(
        row["score"],
        label=row["label"],
        probability=row["inclusion_probability"],
        labels=tuple(row["labels"]),
        item=row["item"],
    )


def _score_of(result: Mapping[str, Any]) -> float:
    """Return the score of a case, or what stands for a missing one."""
    if result["score"] is not None:
        return float(result["score"])
    # Up to 0.1.0 a run does not say what is missing: its reason tells.
    missing = result["missing"] or missing_kind(result["error"])
    return UNANSWERED if missing == Missing.NO_ANSWER else math.nan


def _counted_rows(
    result: Mapping[str, Any],
    samples: _Samples,
) -> list[LabelledRow]:
    """Return the rows whose mean is the score of a case; empty if there are none."""
    chosen = result["sample_index"]
    if chosen is not None:
        row = samples.scored.get(chosen)
        return [] if row is None else [row]
    rows = list(samples.scored.values())
    if _is_mean(rows, result["score"]):
        return rows
    for worst in _UNANSWERED:
        filled = rows + [LabelledRow(worst, known=True)] * samples.unanswered
        if _is_mean(filled, result["score"]):
            return filled
    return []


def _is_mean(
    rows: Sequence[LabelledRow],
    score: float,
) -> bool:
    if not rows:
        return False
    mean = math.fsum(row.score for row in rows) / len(rows)
    return math.isclose(mean, score, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _no_mean_text(
    run: RunResult,
    metric_id: str,
    result: Mapping[str, Any],
) -> str:
    return (
        f"run {run.run_id!r}: the {metric_id} of case {result['case_id']!r} is no mean of "
        f"its samples' scores (reducer {result['reducer']!r}), so labels of samples "
        "cannot correct it; reduce with `builtin/mean` or `builtin/first`"
    )
