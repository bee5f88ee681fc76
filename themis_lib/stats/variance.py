"""Where the variance of scores comes from: the cases, or the samples of one case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from themis_lib.stats.clusters import Floats


@dataclass(frozen=True)
class VarianceSplit:
    """The variance between cases, and within a case between its samples; null where the
    data cannot tell.
    """

    between: float | None
    within: float | None


def sample_moments(scores: Floats) -> Floats:
    """For each case the number, mean and sample variance of its scores; NaN where there
    are too few.

    `scores` is cases × samples, NaN for a sample without a score. The order of the
    samples does not matter.
    """
    ordered = np.sort(scores, axis=1)  # NaN last
    present = ~np.isnan(ordered)
    counts = present.sum(axis=1).astype(np.float64)
    with np.errstate(
        invalid="ignore",
        divide="ignore",
    ):
        means = np.where(
            counts > 0, np.where(present, ordered, 0.0).sum(axis=1) / counts, np.nan
        )
        deviations = np.where(present, ordered - means[:, None], 0.0)
        variances = (deviations**2).sum(axis=1) / (counts - 1)
    return np.column_stack((counts, means, np.where(counts > 1, variances, np.nan)))


def variance_split(moments: Floats) -> VarianceSplit:
    """The components of variance of a one-way layout, from the `sample_moments` of each
    case.

    Within: the mean of the cases' sample variances. Between: the variance of the cases'
    means less what their samples put into it, within/k for k samples (their harmonic
    mean where cases differ), and not below 0. Searle, Casella and McCulloch 1992,
    section 3.6. Null without a case of two samples, and between also for fewer than two
    cases.

    >>> variance_split(sample_moments(np.array([[4.0, 6.0], [0.0, 2.0]])))
    VarianceSplit(between=7.0, within=2.0)
    """
    counts, means, variances = moments[moments[:, 0] > 0].T
    repeated = variances[counts > 1]
    if not len(repeated):
        return VarianceSplit(
            between=None,
            within=None,
        )
    within = math.fsum(repeated) / len(repeated)
    if len(means) < 2:
        return VarianceSplit(
            between=None,
            within=within,
        )
    centre = math.fsum(means) / len(means)
    of_means = math.fsum((means - centre) ** 2) / (len(means) - 1)
    by_samples = within * math.fsum(1 / counts) / len(counts)
    return VarianceSplit(
        between=max(of_means - by_samples, 0.0),
        within=within,
    )
