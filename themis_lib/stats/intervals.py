"""Intervals for the mean of scores, independent or in clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from themis_lib.stats.bootstrap import bootstrap_interval
from themis_lib.stats.clusters import ROUNDING, Floats, clustered_error

Method = Literal["auto", "t", "wilson", "bootstrap"]


@dataclass(frozen=True)
class Interval:
    """A mean, its standard error, and an interval that covers the true mean with the
    given confidence.

    Everything is null for no scores; the standard error and a t interval are null for
    one score, or one cluster, and a t interval where scores, or the means of clusters,
    are all alike: that is no evidence that others would be. `method` is null where
    there is no interval: `wilson`, `t`, `bootstrap`, behind `cluster` where scores come
    in clusters. `clusters` counts them, null where scores are independent.
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
    """The mean of scores with its interval; the order of the scores, and the names of
    clusters, do not matter.

    `auto` is Wilson's for scores that are all 0 or 1, Student's t otherwise. `clusters`
    names the cluster of each score: then t has the cluster-robust error and as many
    degrees of freedom as there are clusters, less one, also for 0 and 1. `wilson` has
    no interval for other scores than 0 and 1. `resamples` and `seed` are the
    bootstrap's. Raises `ValueError` for NaN, and for `wilson` with clusters.

    >>> interval = mean_interval(np.array([1.0] * 8 + [0.0] * 2))
    >>> round(interval.low, 6), round(interval.high, 6)
    (0.490162, 0.943318)
    """
    if np.isnan(scores).any():
        raise ValueError(
            "scores hold NaN; leave out what has no score, or count it as 0"
        )
    if method == "wilson" and clusters is not None:
        raise ValueError(
            "Wilson's interval is for independent scores; take `t` or `bootstrap` with clusters"
        )
    count = None if clusters is None else len(np.unique(clusters))
    if not len(scores):
        return Interval(
            None,
            None,
            None,
            None,
            None,
            count,
        )
    mean = math.fsum(scores) / len(scores)
    error = (
        _standard_error(scores, mean)
        if clusters is None
        else clustered_error(scores, clusters)
    )
    chosen = _choose_method(scores, clusters) if method == "auto" else method
    independent = len(scores) if count is None else count
    if chosen == "bootstrap":
        ends = bootstrap_interval(
            scores,
            clusters=clusters,
            resamples=resamples,
            seed=seed,
            confidence=confidence,
        )
    elif chosen == "t":
        ends = _t_interval(
            scores,
            mean,
            error,
            independent,
            confidence,
        )
    elif _are_01(scores):
        ends = wilson_interval(
            round(mean * independent), independent, confidence=confidence
        )
    else:
        ends = None
    if ends is None:
        return Interval(
            mean,
            error,
            None,
            None,
            None,
            count,
        )
    return Interval(
        mean,
        error,
        *ends,
        chosen if count is None else f"cluster {chosen}",
        count,
    )


def wilson_interval(
    successes: int,
    trials: int,
    *,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927, equation 5); `trials` is
    at least 1.

    >>> [round(bound, 4) for bound in wilson_interval(81, 263)]
    [0.2553, 0.3662]
    """
    from scipy.special import ndtri

    z = float(ndtri(0.5 + confidence / 2))
    rate = successes / trials
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = (
        z
        / (1 + z**2 / trials)
        * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    )
    low = 0.0 if successes == 0 else centre - reach
    return low, 1.0 if successes == trials else centre + reach


def _choose_method(
    scores: Floats,
    clusters: npt.NDArray[Any] | None,
) -> Method:
    """Wilson's for scores of 0 and 1. Clusters rule it out, unless all scores are
    alike: then there is no error to take the clusters into account by, and each cluster
    counts as one trial, as if its scores were bound to be alike.
    """
    return (
        "wilson"
        if _are_01(scores) and (clusters is None or (scores == scores[0]).all())
        else "t"
    )


def _are_01(scores: Floats) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _standard_error(
    scores: Floats,
    mean: float,
) -> float | None:
    if len(scores) < 2:
        return None
    return math.sqrt(math.fsum((scores - mean) ** 2) / (len(scores) - 1) / len(scores))


def _t_interval(
    scores: Floats,
    mean: float,
    error: float | None,
    independent: int,
    confidence: float,
) -> tuple[float, float] | None:
    if error is None or error <= ROUNDING * np.abs(scores).max():
        return None
    from scipy.special import stdtrit

    reach = float(stdtrit(independent - 1, 0.5 + confidence / 2)) * error
    return mean - reach, mean + reach
