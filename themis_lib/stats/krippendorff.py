"""Krippendorff's alpha: the agreement of any number of raters, also with gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from themis_lib.stats.clusters import Floats

#: How far two values differ: at all, by the ratings that lie between, or squared.
Level = Literal["nominal", "ordinal", "interval"]
_TAILS = (0.025, 0.975)
#: Drawn at a time, which bounds memory to some tens of megabytes.
_AT_ONCE = 500


@dataclass(frozen=True)
class Alpha:
    """Alpha over `units` that two raters or more rated, with its 95 % interval.

    1 is full agreement, 0 what chance would give. `alpha` is `None` where all ratings
    are equal, or none is paired; the interval is `None` with it, and where resampling
    shows nothing: for one unit, or raters who never differ.
    """

    units: int
    ratings: int
    alpha: float | None
    low: float | None = None
    high: float | None = None


def krippendorffs_alpha(
    ratings: Floats,
    *,
    level: Level = "nominal",
    resamples: int = 2_000,
    seed: int = 0,
) -> Alpha:
    """Return alpha of ratings, raters × units, NaN where a rater did not rate a unit.

    Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section D. Units
    with a single rating pair with nothing and are left out. The interval is the
    percentile bootstrap over units (Zapf et al. 2016), drawn by `seed`.

    >>> ratings = np.array([[1.0, 2, 3, 3], [1.0, 2, 3, np.nan], [1.0, 2, 1, 3]])
    >>> krippendorffs_alpha(ratings).alpha
    0.75
    """
    is_rated = ~np.isnan(ratings)
    is_paired = is_rated.sum(axis=0) > 1
    ratings, is_rated = ratings[:, is_paired], is_rated[:, is_paired]
    units, count = ratings.shape[1], int(is_rated.sum())
    values, codes = np.unique(ratings[is_rated], return_inverse=True)
    if len(values) < 2:
        return Alpha(units, count, None)
    counts = np.zeros((units, len(values)))
    np.add.at(counts, (np.nonzero(is_rated)[1], codes), 1.0)
    order = np.ones((1, units))
    alpha = float(_alphas(counts, values, order, level)[0])
    if units < 2:
        return Alpha(units, count, alpha)
    random = np.random.default_rng(seed)
    drawn = []
    for start in range(0, resamples, _AT_ONCE):
        size = min(_AT_ONCE, resamples - start)
        times = random.multinomial(units, np.full(units, 1 / units), size=size)
        drawn.append(_alphas(counts, values, times.astype(np.float64), level))
    alphas = np.concatenate(drawn)
    # A resample of equal ratings alone has no alpha.
    alphas = alphas[~np.isnan(alphas)]
    if np.ptp(alphas) == 0:
        return Alpha(units, count, alpha)
    low, high = np.quantile(alphas, _TAILS)
    return Alpha(units, count, alpha, float(low), float(high))


def _alphas(
    counts: Floats,
    values: Floats,
    times: Floats,
    level: Level,
) -> Floats:
    """Return alpha for each row of `times`, how often each unit counts.

    `counts` is units × values. Observed: each unit's pairs of different values, by one
    less than its ratings. Expected: those of all ratings together.
    """
    raters = counts.sum(axis=1)
    totals = times @ counts
    size = totals.sum(axis=1)
    if level == "ordinal":
        found = [
            _ordinal_ratio(counts, raters, each, total)
            for each, total in zip(times, totals, strict=True)
        ]
        observed, expected = np.array(found).T
    else:
        if level == "nominal":
            distances = 1.0 - np.eye(len(values))
        else:
            distances = np.subtract.outer(values, values) ** 2
        of_unit = np.einsum("uc,cd,ud->u", counts, distances, counts) / (raters - 1)
        observed = times @ of_unit
        expected = np.einsum("rc,cd,rd->r", totals, distances, totals)
    with np.errstate(invalid="ignore", divide="ignore"):
        alphas: Floats = 1 - (size - 1) * observed / expected
    return np.where(expected > 0, alphas, np.nan)


def _ordinal_ratio(
    counts: Floats,
    raters: Floats,
    times: Floats,
    totals: Floats,
) -> tuple[float, float]:
    """Return observed and expected disagreement by ranks.

    The distance of two values is the square of the ratings from one to the other, of
    these two the half: it depends on how many there are of each value.
    """
    ranks = np.cumsum(totals) - totals / 2
    distances = np.subtract.outer(ranks, ranks) ** 2
    of_unit = ((counts @ distances) * counts).sum(axis=1) / (raters - 1)
    return float(times @ of_unit), float(totals @ distances @ totals)
