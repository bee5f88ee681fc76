"""Corrected means: what people would say of a run, from its scores and some labels.

They are computed when they are asked for, from the tables of the run and the labels of
its store: a label that is given after the run counts, and no stored table changes.
"""

from __future__ import annotations

import contextlib
import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from themis_lib.core.models import FrozenModel
from themis_lib.errors import ConfigError
from themis_lib.labels.stored_labels import LabelStore
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.score_groups import ALL_CASES, UNANSWERED
from themis_lib.runs.score_range import extreme
from themis_lib.stats.agreement import Agreement, weighted_kappa
from themis_lib.stats.clusters import Floats
from themis_lib.stats.krippendorff import Alpha, krippendorffs_alpha
from themis_lib.stats.prediction_powered import (
    FEWEST_LABELS,
    CorrectedMean,
    corrected_mean,
)
from themis_lib.stats.sensitivity import Rate, judge_accuracy

if TYPE_CHECKING:
    from themis_lib.labels.judged_cases import Integers, JudgedCases, LabelledRow

#: A dataset, a slice and a metric.
Place = tuple[str, str, str]
#: As tables write a missing value of the metadata.
_NO_VALUE = "null"
#: The mean of labels 0 and 1 of which half are each.
_SPLIT = 0.5


class JudgeTrust(FrozenModel):
    """How far a judge says what people say, over the labelled items of a place.

    An item counts once, also where several samples show the same, or once for each score
    that the judge gave it. `sensitivity` and `specificity` weigh samples by their
    inclusion probabilities, go by the majority of the labellers, and are `None` for other
    scores or labels than 0 and 1. `agreement` has the weighted kappa (quadratic) of scores
    and labels, `labellers` Krippendorff's alpha (interval) of the people, `None` for fewer
    than two.
    """

    sensitivity: Rate | None
    specificity: Rate | None
    agreement: Agreement
    labellers: Alpha | None


class CorrectedScore(FrozenModel):
    """A mean of a run corrected by labels, beside the raw one, and how the judge did.

    Means and intervals (95 %) are over the same `n` cases as the summary's. `labels`
    counts the labelled items that were drawn from this run's population, `outside` the
    samples with a label that was not: they are known, and left out of all numbers, because
    nothing says which others they stand for. `labels_worth` is how many labels alone
    would have an interval as narrow. `least` to `greatest` is what the mean, `possible_low`
    to `possible_high` what the interval could be, whatever the cases that are left out
    would have scored.
    """

    dataset_id: str
    slice: str
    metric_id: str
    n: int
    labels: int
    outside: int
    raw_mean: float | None
    raw_low: float | None
    raw_high: float | None
    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    interval_method: str | None
    least: float | None
    greatest: float | None
    possible_low: float | None
    possible_high: float | None
    tuning: float | None
    labels_worth: float | None
    trust: JudgeTrust

    @property
    def place(self) -> Place:
        """The dataset, slice and metric."""
        return self.dataset_id, self.slice, self.metric_id

    @property
    def is_enough(self) -> bool:
        """Whether there are enough labels for a gate or a verdict to go by."""
        return self.labels >= FEWEST_LABELS and self.low is not None


def has_labels(run: RunResult) -> bool:
    """Return whether the store of a run has any label, which one listing tells if not."""
    return bool(LabelStore(run.store).all().num_rows)


def corrected_scores(
    run: RunResult,
    metric_id: str | None = None,
) -> list[CorrectedScore]:
    """Return the corrected mean of each dataset, slice and metric that has labels.

    `metric_id` chooses one metric. They are in the order of the summary, whose policies
    for cases without a score and whose clusters apply; a slice without labels of its own
    is left out. Raise `ConfigError` for a metric that the run has not, or whose scores of
    cases are no means of samples, such as pass@k; without `metric_id` such a metric is
    left out.
    """
    if metric_id is not None:
        return _scores_of_metric(run, metric_id)
    found: dict[Place, CorrectedScore] = {}
    names = dict.fromkeys(row.metric_id for row in run.summary)
    for name in names if has_labels(run) else ():
        with contextlib.suppress(ConfigError):
            for item in _scores_of_metric(run, name):
                found[item.place] = item
    places = [(row.dataset_id, row.slice, row.metric_id) for row in run.summary]
    return [found[place] for place in places if place in found]


def _scores_of_metric(
    run: RunResult,
    metric_id: str,
) -> list[CorrectedScore]:
    # Late: every run that ends is asked for labels, and few have any.
    from themis_lib.labels.judged_cases import JudgedCases

    cases = JudgedCases.of(run, metric_id)
    groups = _CaseGroups(run, cases)
    found = []
    for row in run.summary:
        if row.metric_id == metric_id:
            corrected = _corrected_row(cases, groups, row)
            if corrected.labels or corrected.outside:
                found.append(corrected)
    return found


def corrected_score(
    run: RunResult,
    metric_id: str,
    dataset_id: str | None = None,
) -> CorrectedScore:
    """Return the corrected mean of a metric over all cases of a dataset.

    `dataset_id` may be left out where the run has one. Raise `ConfigError`, which says
    how to label, where no label of the run was drawn from it.
    """
    dataset_ids = list(run.manifest.datasets)
    if dataset_id is None and len(dataset_ids) > 1:
        names = ", ".join(map(repr, dataset_ids))
        raise ConfigError(
            f"run {run.run_id!r} has several datasets: name one of {names}"
        )
    wanted = dataset_ids[0] if dataset_id is None else dataset_id
    for item in corrected_scores(run, metric_id):
        is_there = item.dataset_id == wanted and item.slice == ALL_CASES
        if is_there and item.mean is not None:
            return item
    raise ConfigError(no_labels_text(run, metric_id))


def no_labels_text(
    run: RunResult,
    metric_id: str,
) -> str:
    """Return that a metric has no labels to correct it, and how to give some."""
    return (
        f"run {run.run_id!r} has no labels of {metric_id!r} that were drawn from it; "
        f"label some: {_command(run, metric_id)} --count 100"
    )


def few_labels_text(
    run: RunResult,
    metric_id: str,
    labels: int,
) -> str:
    """Return that labels are too few to go by, and how to give more."""
    return (
        f"{labels:,} labels are too few to tell, {FEWEST_LABELS} are the least; go on "
        f"labelling: {_command(run, metric_id)}"
    )


def _command(
    run: RunResult,
    metric_id: str,
) -> str:
    command = ["themis", "label", run.run_id, "--metric", metric_id]
    # In memory there is no address that another process could open.
    if not run.store.in_memory:
        command += ["--store", run.store.public_url]
    return shlex.join(command)


class _CaseGroups:
    """The places of the cases of each dataset and slice, and their clusters."""

    def __init__(
        self,
        run: RunResult,
        cases: JudgedCases,
    ) -> None:
        self._datasets = np.array(cases.dataset_ids, object)
        table = run.table("cases", columns=["metadata"])
        self._metadata = [dict(pairs or ()) for pairs in table["metadata"].to_pylist()]
        self._cluster_by = run.manifest.statistics.cluster_by

    def places(
        self,
        dataset_id: str,
        slice_name: str,
    ) -> Integers:
        """Return the places of the cases of a row of the summary."""
        places = np.flatnonzero(self._datasets == dataset_id)
        if slice_name == ALL_CASES:
            return places
        column, _, value = slice_name.partition("=")
        chosen = []
        for place in places.tolist():
            if self._metadata[place].get(column, _NO_VALUE) == value:
                chosen.append(place)
        return np.array(chosen, np.int64)

    def clusters(self, places: Integers) -> npt.NDArray[np.int64] | None:
        """Return a number for each case, shared in its cluster; `None` without one."""
        if self._cluster_by is None:
            return None
        numbers: dict[str | int, int] = {}
        found = []
        for place in places.tolist():
            value = self._metadata[place].get(self._cluster_by, _NO_VALUE)
            # A case without a value is a cluster by itself.
            name = place if value == _NO_VALUE else value
            found.append(numbers.setdefault(name, len(numbers)))
        return np.array(found, np.int64)


def _corrected_row(
    cases: JudgedCases,
    groups: _CaseGroups,
    row: SummaryRow,
) -> CorrectedScore:
    places = groups.places(row.dataset_id, row.slice)
    samples = list(chain.from_iterable(cases.rows[place] for place in places.tolist()))
    # Undecided cases are left out, or have the lowest, or the highest score.
    guesses: list[float | None] = [math.nan]
    if row.undecided:
        guesses += [row.lowest, row.highest]
    means = []
    for guess in guesses:
        counted = _counted_scores(cases, row, places, guess)
        means.append(_mean_of(cases, groups, counted, places))
    mean = means[0]
    return CorrectedScore(
        dataset_id=row.dataset_id,
        slice=row.slice,
        metric_id=row.metric_id,
        n=mean.n,
        labels=mean.labels,
        outside=sum(item.outside for item in samples),
        raw_mean=row.mean,
        raw_low=row.low,
        raw_high=row.high,
        mean=mean.mean,
        standard_error=mean.standard_error,
        low=mean.low,
        high=mean.high,
        interval_method=mean.method,
        least=extreme(min, [item.mean for item in means]),
        greatest=extreme(max, [item.mean for item in means]),
        possible_low=extreme(min, [item.low for item in means]),
        possible_high=extreme(max, [item.high for item in means]),
        tuning=mean.tuning,
        labels_worth=mean.labels_worth,
        trust=_judge_trust([item for item in samples if not math.isnan(item.label)]),
    )


def _counted_scores(
    cases: JudgedCases,
    row: SummaryRow,
    places: Integers,
    undecided: float | None,
) -> Floats:
    """Return what cases count as in the mean of a row, NaN where they are left out.

    Those that could have any score count as `undecided`. Without a bound for it there
    is no mean: all are left out.
    """
    scores = cases.scores[places]
    if row.mean is None or undecided is None:
        return np.full(len(scores), np.nan)
    unanswered = row.no_answer_score or 0.0
    if row.no_answer_policy in ("exclude", "unknown"):
        unanswered = undecided if row.no_answer_policy == "unknown" else math.nan
    failed = 0.0 if row.error_policy == "zero" else undecided
    counted = np.where(np.isnan(scores), failed, scores)
    found: Floats = np.where(scores == UNANSWERED, unanswered, counted)
    return found


def _mean_of(
    cases: JudgedCases,
    groups: _CaseGroups,
    counted: Floats,
    places: Integers,
) -> CorrectedMean:
    is_counted = ~np.isnan(counted)
    places = places[is_counted]
    rows = cases.judged_rows(places, counted[is_counted])
    return corrected_mean(rows, clusters=groups.clusters(places))


def _judge_trust(rows: Sequence[LabelledRow]) -> JudgeTrust:
    labelled = _once_each(rows)
    scores = np.array([item.score for item in labelled])
    labels = np.array([item.label for item in labelled])
    probabilities = np.array([item.probability for item in labelled])
    given = {value for item in labelled for _, value in item.labels}
    accuracy = None
    # Labellers who are split say neither 0 nor 1.
    are_clear = labels != _SPLIT
    if given <= {0.0, 1.0} and are_clear.any():
        majority = labels[are_clear].round()
        accuracy = judge_accuracy(scores[are_clear], majority, probabilities[are_clear])
    return JudgeTrust(
        sensitivity=accuracy.sensitivity if accuracy else None,
        specificity=accuracy.specificity if accuracy else None,
        agreement=weighted_kappa(scores, labels),
        labellers=_labellers_alpha(labelled),
    )


def _once_each(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """Return a row for each item and score: a label of several samples was said once."""
    times = Counter((row.item, row.score) for row in rows)
    found = []
    for row in {(row.item, row.score): row for row in rows}.values():
        # It stands for all of them.
        count = times[row.item, row.score]
        found.append(replace(row, probability=row.probability / count))
    return found


def _labellers_alpha(rows: Sequence[LabelledRow]) -> Alpha | None:
    """Return the agreement of labellers; `None` for one, who agrees with nobody."""
    labelled = list({row.item: row for row in rows}.values())
    names = sorted({name for item in labelled for name, _ in item.labels})
    if len(names) < 2:
        return None
    ratings = np.full((len(names), len(labelled)), np.nan)
    for at, item in enumerate(labelled):
        for name, value in item.labels:
            ratings[names.index(name), at] = value
    return krippendorffs_alpha(ratings, level="interval")
