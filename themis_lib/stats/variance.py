"""The sources of the variance of scores: the cases, and the samples of a case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from themis_lib.stats.clusters import Floats


@dataclass(frozen=True)
class VarianceSplit:
    """The variance between cases, and that between the samples within a case.

    `None` if the data cannot tell.
    """

    between: float | None
    within: float | None


def sample_moments(scores: Floats) -> Floats:
    """Return for each case the number, mean and sample variance of its scores.

    `scores` is cases × samples, NaN for a sample without a score. Mean and variance are
    NaN if there are too few. The order of the samples does not matter.
    """
    # Sorted: adding floats in another order changes their last bits.
    ordered = np.sort(scores, axis=1)
    present = ~np.isnan(ordered)
    counts = present.sum(axis=1).astype(np.float64)
    # Divisions by zero are overwritten with NaN: of no score, or of one.
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.where(present, ordered, 0.0).sum(axis=1)
        means = np.where(counts > 0, sums / counts, np.nan)
        deviations = np.where(present, ordered - means[:, None], 0.0)
        variances = (deviations**2).sum(axis=1) / (counts - 1)
    variances = np.where(counts > 1, variances, np.nan)
    return np.column_stack((counts, means, variances))


def variance_split(moments: Floats) -> VarianceSplit:
    """Return the components of variance of a one-way layout.

    `moments` are the `sample_moments` of the cases. Within is the mean of the cases'
    sample variances. Between is the variance of the cases' means less what their
    samples add to it: within/k for k samples (their harmonic mean if cases differ), and
    not below 0. Searle, Casella and McCulloch 1992, section 3.6. Both are `None`
    without a case of two samples, and between also for fewer than two cases.

    >>> variance_split(sample_moments(np.array([[4.0, 6.0], [0.0, 2.0]])))
    VarianceSplit(between=7.0, within=2.0)
    """
    has_scores = moments[:, 0] > 0
    counts, means, variances = moments[has_scores].T
    repeated = variances[counts > 1]
    if not len(repeated):
        return VarianceSplit(between=None, within=None)
    within = math.fsum(repeated) / len(repeated)
    if len(means) < 2:
        return VarianceSplit(between=None, within=within)
    centre = math.fsum(means) / len(means)
    squares = math.fsum((means - centre) ** 2)
    of_means = squares / (len(means) - 1)
    # One over the harmonic mean of the counts.
    by_samples = within * math.fsum(1 / counts) / len(counts)
    # An estimate by subtraction may fall below zero, which no variance does.
    between = max(of_means - by_samples, 0.0)
    return VarianceSplit(between=between, within=within)
