"""The bias-corrected and accelerated bootstrap (BCa) of a mean, over cases or over
clusters of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import ROUNDING, Floats, cluster_totals

#: Up to this many draws are made one by one, which takes about a second. Beyond it,
#: only the number of draws from each cell is drawn.
_MOST_DRAWS = 10**8
_CELLS = 512
# These bound the memory of a step to some tens of megabytes.
_DRAWS_AT_ONCE = 10**6
_RESAMPLES_AT_ONCE = 1000


def bootstrap_interval(
    scores: Floats,
    *,
    clusters: npt.NDArray[Any] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Return the BCa interval of the mean (Efron 1987).

    If there are clusters, whole clusters are resampled. The digits depend on the scores
    and the seed, not on the order of the scores. `None` if resampling shows nothing:
    for fewer than two scores or clusters, and for clusters whose means are all equal.

    >>> scores = np.array([1.0] * 80 + [0.0] * 20)
    >>> bootstrap_interval(scores) == bootstrap_interval(scores[::-1])
    True
    """
    if clusters is None:
        totals, sizes = scores, np.ones(len(scores))
    else:
        totals, sizes = cluster_totals(scores, clusters)
    # Sorted, so that the same draws take the same values whatever the order given.
    order = np.lexsort((sizes, totals))
    totals, sizes = totals[order], sizes[order]
    if len(totals) < 2:
        return None
    mean = float(totals.sum() / sizes.sum())
    deviations = totals - mean * sizes
    if np.abs(deviations).max() <= ROUNDING * np.abs(totals).max():
        return None
    random = np.random.default_rng(seed)
    means = _resampled_means(totals, sizes, resamples, random)
    # The jackknife: by how much the mean falls when one unit is left out.
    influence = deviations / (sizes.sum() - sizes)
    centred = influence - influence.mean()
    rounding = ROUNDING * float(np.abs(totals / sizes).max())
    shares = bca_shares(means, mean, rounding, centred, confidence)
    low, high = np.quantile(means, shares)
    return float(low), float(high)


def bca_shares(
    means: Floats,
    mean: float,
    rounding: float,
    influence: Floats,
    confidence: float,
) -> Floats:
    """Return the share of resampled means below each end of the interval.

    Efron and Tibshirani 1993, equations 14.9 to 14.15. Resampled means no further than
    `rounding` from the mean count as equal to it, and half of them as below it.
    """
    from scipy.special import ndtr, ndtri

    share_below = (means < mean - rounding).mean()
    share_up_to = (means <= mean + rounding).mean()
    below = (share_below + share_up_to) / 2
    # All resampled means on one side of the mean would make the bias infinite.
    half_a_resample = 0.5 / len(means)
    bias = ndtri(np.clip(below, half_a_resample, 1 - half_a_resample))
    squares = (influence**2).sum()
    # Where no unit changes anything, there is no skewness to correct for.
    acceleration = 0.0
    if squares > 0:
        acceleration = (influence**3).sum() / (6 * squares**1.5)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    ends = bias + ndtri(tails)
    corrected = bias + ends / (1 - acceleration * ends)
    return np.asarray(ndtr(corrected))


def _resampled_means(
    totals: Floats,
    sizes: Floats,
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    """Return the mean of each resample, by whichever way of drawing is cheaper."""
    # Clusters of several sizes: the number of scores differs between resamples, too.
    if (sizes != sizes[0]).any():
        sums, counts = _sums_by_draws((totals, sizes), resamples, random)
        return np.asarray(sums / counts)
    distinct = len(np.unique(totals))
    has_few_values = distinct <= min(_CELLS, len(totals) // 8)
    has_many_draws = len(totals) * resamples > _MOST_DRAWS
    if has_few_values or has_many_draws:
        sums = _sums_by_cells(totals, resamples, random)
    else:
        (sums,) = _sums_by_draws((totals,), resamples, random)
    return np.asarray(sums / sizes.sum())


def _sums_by_draws(
    columns: tuple[Floats, ...],
    resamples: int,
    random: np.random.Generator,
) -> tuple[Floats, ...]:
    """Return the sums of each column over rows drawn with replacement."""
    rows = len(columns[0])
    at_once = max(_DRAWS_AT_ONCE // rows, 1)
    sums = tuple(np.empty(resamples) for _ in columns)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = random.integers(0, rows, size=(count, rows))
        for column, total in zip(columns, sums, strict=True):
            total[start : start + len(drawn)] = column.take(drawn).sum(axis=1)
    return sums


def _sums_by_cells(
    values: Floats,
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    """Return the sums of values drawn with replacement, by drawing counts of cells.

    A cell holds equal values. If there are too many of them, it holds those within
    1/512 of their range, and the sum of their deviations from the cell's mean is drawn
    from a normal distribution: over so many draws, each deviating so little, no
    resampled mean shows it.
    """
    means, variances, counts = _cell_moments(values)
    sums = np.empty(resamples)
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, resamples - start)
        drawn = random.multinomial(len(values), counts / len(values), size=size)
        spread = np.sqrt((drawn * variances).sum(axis=1))
        deviations = random.standard_normal(size) * spread
        sums[start : start + size] = (drawn * means).sum(axis=1) + deviations
    return sums


def _cell_moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean, the variance and the number of the values in each cell."""
    distinct, cell = np.unique(values, return_inverse=True)
    if len(distinct) > _CELLS:
        low, high = distinct[0], distinct[-1]
        places_in_range = (values - low) / (high - low)
        places = (places_in_range * _CELLS).astype(np.int64)
        # Empty cells are left out: a mean of none would divide by zero. The largest
        # value, which alone would open one more cell, goes into the last.
        places = np.minimum(places, _CELLS - 1)
        _, cell = np.unique(places, return_inverse=True)
    counts = np.bincount(cell).astype(np.float64)
    means = np.bincount(cell, weights=values) / counts
    squares = (values - means[cell]) ** 2
    variances = np.bincount(cell, weights=squares) / counts
    return means, variances, counts
