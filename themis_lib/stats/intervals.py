"""Intervals for the mean of independent scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Interval:
    """A mean, its standard error, and an interval that covers the true mean with the given confidence.

    Everything is null for no scores; the standard error and a t interval are null for one score.
    """

    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    method: str | None


def mean_interval(scores: npt.NDArray[np.float64], *, confidence: float = 0.95) -> Interval:
    """The mean of scores with its interval: Wilson's for scores that are all 0 or 1, Student's t otherwise.

    >>> interval = mean_interval(np.array([1.0] * 8 + [0.0] * 2))
    >>> round(interval.low, 6), round(interval.high, 6)
    (0.490162, 0.943318)
    """
    if not len(scores):
        return Interval(None, None, None, None, None)
    mean = math.fsum(scores) / len(scores)
    deviations = math.fsum((scores - mean) ** 2)
    error = math.sqrt(deviations / (len(scores) - 1) / len(scores)) if len(scores) > 1 else None
    if np.isin(scores, (0.0, 1.0)).all():
        low, high = wilson_interval(int(scores.sum()), len(scores), confidence=confidence)
        return Interval(mean, error, low, high, "wilson")
    if error is None:
        return Interval(mean, None, None, None, None)
    from scipy.special import stdtrit

    reach = float(stdtrit(len(scores) - 1, 0.5 + confidence / 2)) * error
    return Interval(mean, error, mean - reach, mean + reach, "t")


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927, equation 5); `trials` is at least 1.

    >>> [round(bound, 4) for bound in wilson_interval(81, 263)]
    [0.2553, 0.3662]
    """
    from scipy.special import ndtri

    z = float(ndtri(0.5 + confidence / 2))
    rate = successes / trials
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    low = 0.0 if successes == 0 else centre - reach
    return low, 1.0 if successes == trials else centre + reach
