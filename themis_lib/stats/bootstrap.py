"""The bias-corrected and accelerated bootstrap (BCa) of a mean, over cases or over
clusters of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import ROUNDING, Floats, cluster_totals

#: Up to so many draws are made one by one, which takes about a second; beyond, how
#: often each cell is drawn.
_MOST_DRAWS = 10**8
_CELLS = 512
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
    """The BCa interval of the mean (Efron 1987), from whole clusters drawn anew where
    there are any.

    The same digits for the same scores and seed, in whatever order they come. Null
    where resampling shows nothing: for fewer than two scores or clusters, and for
    clusters whose means are all alike.

    >>> scores = np.array([1.0] * 80 + [0.0] * 20)
    >>> bootstrap_interval(scores) == bootstrap_interval(scores[::-1])
    True
    """
    totals, sizes = (
        (scores, np.ones(len(scores)))
        if clusters is None
        else cluster_totals(scores, clusters)
    )
    order = np.lexsort((sizes, totals))
    totals, sizes = totals[order], sizes[order]
    if len(totals) < 2:
        return None
    mean = float(totals.sum() / sizes.sum())
    deviations = totals - mean * sizes
    if np.abs(deviations).max() <= ROUNDING * np.abs(totals).max():
        return None
    means = _resampled_means(
        totals,
        sizes,
        resamples,
        np.random.default_rng(seed),
    )
    influence = deviations / (
        sizes.sum() - sizes
    )  # by how much the mean falls when one is left out: the jackknife
    rounding = ROUNDING * float(np.abs(totals / sizes).max())
    shares = _bca_shares(
        means,
        mean,
        rounding,
        influence - influence.mean(),
        confidence,
    )
    low, high = np.quantile(means, shares)
    return float(low), float(high)


def _bca_shares(
    means: Floats,
    mean: float,
    rounding: float,
    influence: Floats,
    confidence: float,
) -> Floats:
    """The shares of resampled means below the interval's ends: Efron and Tibshirani
    1993, equations 14.9 to 14.15.

    Resampled means no further than `rounding` from the mean are equal to it, and lie
    half below it.
    """
    from scipy.special import ndtr, ndtri

    half_a_resample = 0.5 / len(means)
    below = ((means < mean - rounding).mean() + (means <= mean + rounding).mean()) / 2
    bias = ndtri(np.clip(below, half_a_resample, 1 - half_a_resample))
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    ends = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    return np.asarray(ndtr(bias + ends / (1 - acceleration * ends)))


def _resampled_means(
    totals: Floats,
    sizes: Floats,
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    if (sizes != sizes[0]).any():
        sums, counts = _sums_by_draws((totals, sizes), resamples, random)
        return np.asarray(sums / counts)
    distinct = len(np.unique(totals))
    if (
        distinct <= min(_CELLS, len(totals) // 8)
        or len(totals) * resamples > _MOST_DRAWS
    ):
        sums = _sums_by_cells(totals, resamples, random)
    else:
        (sums,) = _sums_by_draws((totals,), resamples, random)
    return np.asarray(sums / sizes.sum())


def _sums_by_draws(
    columns: tuple[Floats, ...],
    resamples: int,
    random: np.random.Generator,
) -> tuple[Floats, ...]:
    """The sums of each column over rows drawn with replacement."""
    rows = len(columns[0])
    at_once = max(_DRAWS_AT_ONCE // rows, 1)
    sums = tuple(np.empty(resamples) for _ in columns)
    for start in range(0, resamples, at_once):
        drawn = random.integers(0, rows, size=(min(at_once, resamples - start), rows))
        for column, total in zip(columns, sums, strict=True):
            total[start : start + len(drawn)] = column.take(drawn).sum(axis=1)
    return sums


def _sums_by_cells(
    values: Floats,
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    """The sums of values drawn with replacement, from how often each cell of equal
    values is drawn.

    Where the values are many, a cell holds those within 1/512 of their range, and the
    sum of what its draws deviate from their mean is drawn from the normal distribution
    of its variance. That is for sums of so many draws, each deviating so little, that
    no resampled mean could tell.
    """
    means, variances, counts = _cell_moments(values)
    sums = np.empty(resamples)
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, resamples - start)
        drawn = random.multinomial(len(values), counts / len(values), size=size)
        deviations = random.standard_normal(size) * np.sqrt(
            (drawn * variances).sum(axis=1)
        )
        sums[start : start + size] = (drawn * means).sum(axis=1) + deviations
    return sums


def _cell_moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    """The mean, the variance and the number of the values in each cell."""
    distinct, cell = np.unique(values, return_inverse=True)
    if len(distinct) > _CELLS:
        low, high = distinct[0], distinct[-1]
        places = ((values - low) / (high - low) * _CELLS).astype(np.int64)
        _, cell = np.unique(np.minimum(places, _CELLS - 1), return_inverse=True)
    counts = np.bincount(cell).astype(np.float64)
    means = np.bincount(cell, weights=values) / counts
    variances = np.bincount(cell, weights=(values - means[cell]) ** 2) / counts
    return means, variances, counts
