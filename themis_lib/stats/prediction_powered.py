"""The mean of what people would say, from a judge's scores and the labels of some rows.

Prediction-powered inference: the labels correct the mean of the scores, and the scores
narrow the interval of the labels. Angelopoulos, Duchi and Zrnic 2023, "PPI++"; for
labels drawn with unequal probabilities, Zrnic and Candès 2024, "Active statistical
inference". With scores f and labels Y the estimate is

    mean_w(Y) + λ · (mean(f) − mean_w(f)).

mean_w is the mean over the labelled rows, weighted by one over the probability with
which each was drawn for labelling (Hájek 1971). λ, within 0 and 1, makes the variance
the smallest: this is the regression estimator of survey sampling (Cochran 1977, chapter
7). Only the ratios of the weights count, so labelling that stopped in the middle of its
random order counts as the smaller drawing that it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import ROUNDING, Floats, clustered_error
from themis_lib.stats.intervals import are_01, wilson_ends

#: Fewer labels say little, and what they say rests on few rows.
FEWEST_LABELS = 20
#: No residual is taken to be more than ten times as large as it is.
_MOST_LEVERAGE = 0.9
_UPPER = 0.975


@dataclass(frozen=True)
class JudgedRows:
    """Rows with a judge's scores, some of them labelled; all arrays are equally long.

    `labels` are NaN where there is none. `probabilities`, of being drawn for labelling,
    count for labelled rows only, up to a common factor. `cases` numbers the case of each
    row, from 0 and without gaps: rows of one case are its samples. Without it, each row
    is a case. `known` marks rows whose score needs no label, as that of an output that
    holds no answer: a label of theirs is ignored. `items` numbers what a person labelled:
    rows of one item share one label, also where their cases differ; these cases add to the
    error by how far their probability is from 1. Without it, each row has a label of its
    own. Raises `ValueError` for a score that is NaN, and for a labelled
    row whose probability is not above 0.
    """

    scores: Floats
    labels: Floats
    probabilities: Floats
    cases: npt.NDArray[np.int64] | None = None
    known: npt.NDArray[np.bool_] | None = None
    items: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if np.isnan(self.scores).any():
            raise ValueError("scores hold NaN; leave out the rows without a score")
        drawn = self.probabilities[self.is_labelled]
        # NaN fails this test too.
        if not (drawn > 0).all():
            wrong = float(drawn[~(drawn > 0)][0])
            raise ValueError(
                f"a labelled row has the inclusion probability {wrong!r}; only rows that "
                "could be drawn, with a probability above 0, stand for others"
            )

    @property
    def is_labelled(self) -> npt.NDArray[np.bool_]:
        """Which rows have a label."""
        return ~np.isnan(self.labels) & ~self.is_known

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Which rows need no label."""
        return np.zeros(len(self.scores), bool) if self.known is None else self.known

    @property
    def case_of_row(self) -> npt.NDArray[np.int64]:
        """The number of the case of each row."""
        return np.arange(len(self.scores)) if self.cases is None else self.cases

    @property
    def item_of_row(self) -> npt.NDArray[np.int64]:
        """The number of what was labelled in each row."""
        return np.arange(len(self.scores)) if self.items is None else self.items


@dataclass(frozen=True)
class CorrectedMean:
    """The corrected mean over `n` cases, with its standard error and 95 % interval.

    `raw_mean` is the judge's. `labels` counts the labelled items. `tuning` is λ, from 0,
    where the judge tells nothing, to 1. `labels_worth` is how many labels, without the
    judge, have an error as small. All are `None` without labels. The interval is `None`
    for fewer than three labelled items, cases or clusters, and where scores other than 0 and 1
    equal all labels; `method` is `wilson`, `t` or `cluster t`.

    `pseudo_values`, one for each case, have the corrected mean as their mean, and its
    error is the error of theirs; `doubt` is a variance to add, and `freedom` the degrees
    of freedom.
    """

    n: int
    labels: int
    raw_mean: float | None
    pseudo_values: Floats
    mean: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    method: str | None = None
    tuning: float | None = None
    labels_worth: float | None = None
    doubt: float = 0.0
    freedom: int = 0


@dataclass(frozen=True)
class CorrectedDifference:
    """A difference candidate − baseline of corrected means, and its 95 % interval.

    `p_value` is the two-sided one of no difference. `units` are the labelled items,
    cases or clusters of the run that has fewer.
    """

    difference: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    method: str | None
    p_value: float | None
    units: int


def corrected_mean(
    rows: JudgedRows,
    *,
    clusters: npt.NDArray[Any] | None = None,
) -> CorrectedMean:
    """Return the mean of what people would say of the cases, and its interval.

    The samples of a case are averaged first. `clusters` names the cluster of each case.
    The standard error is that of the linearised estimate, each residual as large as if
    its row had been left out of the fit (HC3; MacKinnon and White 1985).

    For scores of 0 and 1 the interval is Wilson's, for as many labels as these are worth
    (Korn and Graubard 1998, on effective sample sizes), at the quantile of Student's t.
    Its error also counts half a label on either side that contradicts the judge, times
    λ: a few labels that agree do not prove a judge perfect. For other scores, and with
    clusters, it is Student's t. Both have two degrees of freedom less than there are
    labelled items, cases or clusters, whichever are fewest. Where one label is that of
    several cases, these are right or wrong together, and the error is that of two
    clusterings (Cameron, Gelbach and Miller 2011).

    >>> scores = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    >>> labels = np.array([1.0, 0.0, 1.0, 0.0, 1.0, np.nan, np.nan, np.nan])
    >>> found = corrected_mean(JudgedRows(scores, labels, np.full(8, 0.5)))
    >>> found.raw_mean, round(found.mean, 4), round(found.tuning, 4)
    (0.625, 0.6043, 0.1734)
    """
    case_of_row = rows.case_of_row
    samples = np.bincount(case_of_row)
    size = len(samples)
    labels = len(np.unique(rows.item_of_row[rows.is_labelled]))
    # Each case counts once, however many samples it has.
    shares = 1 / samples[case_of_row]
    if not labels:
        raw_mean = float(shares @ rows.scores) / size if size else None
        return CorrectedMean(size, labels, raw_mean, np.full(size, np.nan))
    group_of_row = case_of_row
    if clusters is not None:
        group_of_row = np.unique(clusters, return_inverse=True)[1][case_of_row]
    estimate = _Estimate.of(rows, shares, group_of_row)
    values = np.bincount(case_of_row, estimate.influence).astype(np.float64)
    values += estimate.mean - values.mean()
    labelled = estimate.labelled
    is_binary = are_01(rows.scores) and labelled.are_within_01
    doubt = labelled.shared_variance(estimate.tuning, group_of_row) * estimate.open**2
    if is_binary:
        doubt += (estimate.tuning * estimate.open / labelled.effective) ** 2
    error = _error(values, clusters, doubt, float(np.abs(values).max()))
    labelled_groups = len(np.unique(group_of_row[labelled.at]))
    found = CorrectedMean(
        n=size,
        labels=labels,
        raw_mean=float(shares @ rows.scores) / size,
        pseudo_values=values,
        mean=estimate.mean,
        standard_error=error,
        tuning=estimate.tuning,
        labels_worth=_labels_worth(estimate, error, is_binary=is_binary),
        doubt=doubt,
        freedom=max(min(labelled_groups, labels) - 2, 0),
    )
    if is_binary and clusters is None:
        return _with_wilson(found)
    # Labels that all agree say nothing about how far others would be off.
    residuals = labelled.residuals(estimate.tuning)
    if np.abs(residuals).max() <= ROUNDING * np.abs(labelled.labels).max():
        return found
    return _with_t(found, "t" if clusters is None else "cluster t")


def corrected_difference(
    baseline: CorrectedMean,
    candidate: CorrectedMean,
    *,
    clusters: npt.NDArray[Any] | None = None,
) -> CorrectedDifference:
    """Return the difference of two corrected means of the same cases, in the same order.

    Its error is that of the cases' differences of pseudo-values, so it holds whether
    the labels of the two are on the same cases, on others or on some of both. Interval
    and p-value are Student's t at the lower of the degrees of freedom, and `None` where
    one has none. Raises `ValueError` for means over different numbers of cases.
    """
    if baseline.n != candidate.n:
        raise ValueError(
            f"corrected means of {baseline.n} and {candidate.n} cases: a paired "
            "difference is over the same cases"
        )
    freedom = min(baseline.freedom, candidate.freedom)
    units = freedom + 2 if freedom else 0
    if baseline.mean is None or candidate.mean is None:
        return CorrectedDifference(None, None, None, None, None, None, units)
    difference = candidate.mean - baseline.mean
    differences = candidate.pseudo_values - baseline.pseudo_values
    doubt = baseline.doubt + candidate.doubt
    both = np.abs([baseline.pseudo_values, candidate.pseudo_values])
    error = _error(differences, clusters, doubt, float(both.max()))
    if not error or not freedom:
        return CorrectedDifference(difference, error, None, None, None, None, units)
    from scipy.special import stdtr

    reach = _t_quantile(freedom) * error
    return CorrectedDifference(
        difference=difference,
        standard_error=error,
        low=difference - reach,
        high=difference + reach,
        method="t" if clusters is None else "cluster t",
        p_value=2 * float(stdtr(freedom, -abs(difference) / error)),
        units=units,
    )


@dataclass(frozen=True)
class _Labelled:
    """The labelled rows: their places, and their weights, which sum to 1.

    `items` numbers what was labelled, from 0 and without gaps.
    """

    at: npt.NDArray[np.int64]
    scores: Floats
    labels: Floats
    weights: Floats
    probabilities: Floats
    items: npt.NDArray[np.int64]

    @staticmethod
    def of(
        rows: JudgedRows,
        shares: Floats,
    ) -> _Labelled:
        at = np.flatnonzero(rows.is_labelled)
        weights = shares[at] / rows.probabilities[at]
        return _Labelled(
            at=at,
            scores=rows.scores[at],
            labels=rows.labels[at],
            weights=weights / weights.sum(),
            probabilities=rows.probabilities[at],
            items=np.unique(rows.item_of_row[at], return_inverse=True)[1],
        )

    @property
    def mean_score(self) -> float:
        return _weighted_mean(self.scores, self.weights)

    @property
    def mean_label(self) -> float:
        return _weighted_mean(self.labels, self.weights)

    @property
    def effective(self) -> float:
        """How many labels of equal weight have as large an error (Kish 1965)."""
        weights = np.bincount(self.items, self.weights)
        return float(1 / (weights @ weights))

    @property
    def label_variance(self) -> float:
        """The variance of labels; one label alone shows none."""
        variance = float(self.weights @ (self.labels - self.mean_label) ** 2)
        freedom = self.effective - 1
        return variance * self.effective / freedom if freedom > ROUNDING else 0.0

    @property
    def are_within_01(self) -> bool:
        return bool(self.labels.min() >= 0 and self.labels.max() <= 1)

    def residuals(self, tuning: float) -> Floats:
        """Return what λ times the score leaves of each label, as if it was not fitted."""
        scores = self.scores - self.mean_score
        leverage = self.weights.copy()
        variance = float(self.weights @ scores**2)
        if variance:
            leverage += self.weights * scores**2 / variance
        # The rows of an item are left out together.
        together = np.bincount(self.items, leverage)[self.items]
        residuals = self.labels - self.mean_label - tuning * scores
        found: Floats = residuals / (1 - np.minimum(together, _MOST_LEVERAGE))
        return found

    def shared_variance(
        self,
        tuning: float,
        group_of_row: npt.NDArray[np.int64],
    ) -> float:
        """Return what items in several groups add to the variance of the mean.

        Those of the items less those of each item in each group, which the groups have.
        An item that was certain to be drawn adds nothing: its cases are as they are.
        """
        by_chance = np.sqrt(np.maximum(1 - self.probabilities, 0.0))
        residuals = self.weights * self.residuals(tuning) * by_chance
        pairs = np.stack([self.items, group_of_row[self.at]])
        of_pair = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
        count = int(self.items.max()) + 1
        if of_pair.max() + 1 == count:
            return 0.0
        of_items = np.bincount(self.items, residuals)
        of_pairs = np.bincount(of_pair, residuals)
        added = float(of_items @ of_items - of_pairs @ of_pairs)
        return max(added, 0.0) * count / max(count - 1, 1)


@dataclass(frozen=True)
class _Estimate:
    """The corrected mean, and by how much each row moves it, times the cases.

    `open` is the share of the cases whose scores labels may correct.
    """

    mean: float
    tuning: float
    influence: Floats
    open: float
    labelled: _Labelled

    @staticmethod
    def of(
        rows: JudgedRows,
        shares: Floats,
        group_of_row: npt.NDArray[np.int64],
    ) -> _Estimate:
        labelled = _Labelled.of(rows, shares)
        # Rows that are known for certain are a stratum of their own, and keep its mean.
        open_shares = np.where(rows.is_known, 0.0, shares)
        size, open_size = float(shares.sum()), float(open_shares.sum())
        of_open = open_shares / open_size
        open_score = float(of_open @ rows.scores)
        tuning = _best_tuning(rows.scores, of_open, labelled, group_of_row)
        open_mean = labelled.mean_label + tuning * (open_score - labelled.mean_score)
        known_total = float((shares - open_shares) @ rows.scores)
        mean = (known_total + open_size * open_mean) / size

        of_row = open_mean + tuning * (rows.scores - open_score)
        influence = shares * (np.where(rows.is_known, rows.scores, of_row) - mean)
        residuals = labelled.residuals(tuning)
        influence[labelled.at] += open_size * labelled.weights * residuals
        return _Estimate(mean, tuning, influence, open_size / size, labelled)


def _weighted_mean(
    values: Floats,
    weights: Floats,
) -> float:
    """Return the mean by weights that sum to 1; of equal values exactly these."""
    return float(values[0] + weights @ (values - values[0]))


def _best_tuning(
    scores: Floats,
    shares: Floats,
    labelled: _Labelled,
    group_of_row: npt.NDArray[np.int64],
) -> float:
    """Return the λ of the smallest variance, within 0 and 1.

    Each independent group of rows moves mean(f) − mean_w(f), and mean_w(Y). λ is minus
    the covariance of the two by the variance of the first.
    """
    by_row = shares * (scores - float(shares @ scores))
    by_row[labelled.at] -= labelled.weights * (labelled.scores - labelled.mean_score)
    of_scores = np.bincount(group_of_row, by_row)
    by_row = np.zeros(len(scores))
    by_row[labelled.at] = labelled.weights * (labelled.labels - labelled.mean_label)
    of_labels = np.bincount(group_of_row, by_row)
    spread = float(of_scores @ of_scores)
    # Scores that are all equal, or whose rows are all labelled, leave nothing to tune.
    if spread <= (ROUNDING * float(np.abs(scores).max())) ** 2:
        return 0.0
    return min(max(-float(of_scores @ of_labels) / spread, 0.0), 1.0)


def _error(
    values: Floats,
    clusters: npt.NDArray[Any] | None,
    doubt: float,
    largest: float,
) -> float | None:
    """Return the standard error of the mean of pseudo-values; `None` for one alone.

    `largest` is the largest number that went into them: what is tiny beside it is 0.
    """
    groups = np.arange(len(values)) if clusters is None else clusters
    error = clustered_error(values, groups)
    if error is None:
        return None
    error = math.hypot(error, math.sqrt(doubt))
    return error if error > ROUNDING * largest else 0.0


def _labels_worth(
    estimate: _Estimate,
    error: float | None,
    *,
    is_binary: bool,
) -> float | None:
    if error is None:
        return None
    labelled = estimate.labelled
    variance = labelled.label_variance
    if is_binary:
        variance = estimate.mean * (1 - estimate.mean)
    # Labels that are all equal, or an estimate beyond 0 to 1: they are worth themselves.
    if variance <= ROUNDING or not error:
        return labelled.effective
    return variance / error**2


def _with_wilson(found: CorrectedMean) -> CorrectedMean:
    if not found.freedom or found.mean is None or found.labels_worth is None:
        return found
    rate = min(max(found.mean, 0.0), 1.0)
    low, high = wilson_ends(rate, found.labels_worth, _t_quantile(found.freedom))
    return replace(found, mean=rate, low=low, high=high, method="wilson")


def _with_t(
    found: CorrectedMean,
    method: str,
) -> CorrectedMean:
    if not found.freedom or found.mean is None or found.standard_error is None:
        return found
    reach = _t_quantile(found.freedom) * found.standard_error
    low, high = found.mean - reach, found.mean + reach
    return replace(found, low=low, high=high, method=method)


def _t_quantile(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, _UPPER))
