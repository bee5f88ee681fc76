"""Intervals for the mean of scores, independent or in clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from themis_lib.stats.bootstrap import bootstrap_interval
from themis_lib.stats.clusters import ROUNDING, Floats, clustered_error
from themis_lib.stats.sums import exact_sum

Method = Literal["auto", "t", "wilson", "bootstrap"]


@dataclass(frozen=True)
class Interval:
    """A mean, its standard error, and a confidence interval for the true mean.

    Without scores everything is `None`. For one score, or one cluster, the standard
    error and a t interval are `None`. So is a t interval of scores, or means of
    clusters, that are all equal: that is no evidence that others would be. `method` is
    `wilson`, `t` or `bootstrap`, with `cluster` before it if scores come in clusters,
    and `None` without an interval. `clusters` is their number, `None` for independent
    scores.
    """

    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    method: str | None
    clusters: int | None = None


def mean_interval(
    scores: Floats,
    *,
    method: Method = "auto",
    clusters: npt.NDArray[Any] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return the mean of scores with its interval.

    The order of the scores and the names of clusters do not matter. `auto` is Wilson's
    for scores that are all 0 or 1, Student's t otherwise. `clusters` names the cluster
    of each score: then t has the cluster-robust error and one degree of freedom less
    than there are clusters, also for 0 and 1. `wilson` has no interval for other scores
    than 0 and 1. `resamples` and `seed` are the bootstrap's. Raise `ValueError` for
    NaN, and for `wilson` with clusters.

    >>> interval = mean_interval(np.array([1.0] * 8 + [0.0] * 2))
    >>> round(interval.low, 6), round(interval.high, 6)
    (0.490162, 0.943318)
    """
    _check_arguments(scores, method, clusters)
    count = None if clusters is None else len(np.unique(clusters))
    if not len(scores):
        return Interval(None, None, None, None, None, count)
    different, counts = np.unique(scores, return_counts=True)
    # Exact, and so independent of the order of the scores.
    mean = exact_sum(different, counts) / len(scores)
    if clusters is None:
        error = _standard_error(different, counts, mean)
    else:
        error = clustered_error(scores, clusters)
    is_clustered = clusters is not None
    chosen = _choose_method(different, is_clustered) if method == "auto" else method
    # Each cluster counts as one trial, or one degree of freedom.
    independent = len(scores) if count is None else count
    ends = None
    if chosen == "bootstrap":
        ends = bootstrap_interval(
            scores,
            clusters=clusters,
            resamples=resamples,
            seed=seed,
            confidence=confidence,
        )
    elif chosen == "t":
        ends = _t_interval(different, mean, error, independent, confidence)
    elif are_01(different):
        # With clusters all scores are equal, so each cluster is a success or none is.
        successes = round(mean * independent)
        ends = wilson_interval(successes, independent, confidence=confidence)
    if ends is None:
        return Interval(mean, error, None, None, None, count)
    low, high = ends
    name = chosen if count is None else f"cluster {chosen}"
    return Interval(mean, error, low, high, name, count)


def _check_arguments(
    scores: Floats,
    method: Method,
    clusters: npt.NDArray[Any] | None,
) -> None:
    # NaN would spread to every figure without a word.
    if np.isnan(scores).any():
        raise ValueError(
            "scores hold NaN; leave out what has no score, or count it as 0"
        )
    if method == "wilson" and clusters is not None:
        raise ValueError(
            "Wilson's interval is for independent scores; "
            "take `t` or `bootstrap` with clusters"
        )


def wilson_interval(
    successes: int,
    trials: int,
    *,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return Wilson's score interval for a proportion (Wilson 1927, equation 5).

    `trials` is at least 1.

    >>> [round(bound, 4) for bound in wilson_interval(81, 263)]
    [0.2553, 0.3662]
    """
    # Imported where it is needed: its import is slow.
    from scipy.special import ndtri

    rate = successes / trials
    return wilson_ends(rate, trials, float(ndtri(0.5 + confidence / 2)))


def wilson_ends(
    rate: float,
    trials: float,
    quantile: float,
) -> tuple[float, float]:
    """Return Wilson's interval for a rate seen in `trials`, which may be no whole number.

    An effective sample size stands for weighted or corrected data (Korn and Graubard
    1998). `quantile` is how many standard errors the interval reaches.
    """
    shrinkage = 1 + quantile**2 / trials
    centre = (rate + quantile**2 / (2 * trials)) / shrinkage
    variance = rate * (1 - rate) / trials + quantile**2 / (4 * trials**2)
    reach = quantile / shrinkage * math.sqrt(variance)
    # Here the ends are 0 and 1 but for rounding.
    low = 0.0 if rate == 0 else centre - reach
    high = 1.0 if rate == 1 else centre + reach
    return low, high


def _choose_method(
    different: Floats,
    is_clustered: bool,
) -> Method:
    """Return `wilson` for scores of 0 and 1, else `t`.

    With clusters it is `t`, unless all scores are equal. Then there is no error to
    account for the clusters with, and each cluster counts as one trial, as if its
    scores had to be equal.
    """
    if not are_01(different):
        return "t"
    return "t" if is_clustered and len(different) > 1 else "wilson"


def are_01(scores: Floats) -> bool:
    """Return whether every score is 0 or 1."""
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _standard_error(
    different: Floats,
    counts: npt.NDArray[np.int64],
    mean: float,
) -> float | None:
    total = int(counts.sum())
    if total < 2:
        return None
    variance = exact_sum((different - mean) ** 2, counts) / (total - 1)
    return math.sqrt(variance / total)


def _t_interval(
    different: Floats,
    mean: float,
    error: float | None,
    independent: int,
    confidence: float,
) -> tuple[float, float] | None:
    # Equal scores, up to rounding, would give an interval of no width.
    if error is None or error <= ROUNDING * np.abs(different).max():
        return None
    from scipy.special import stdtrit

    reach = float(stdtrit(independent - 1, 0.5 + confidence / 2)) * error
    return mean - reach, mean + reach
