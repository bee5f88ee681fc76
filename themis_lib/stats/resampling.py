"""The bootstrap of any number of a data set: the score of a corpus, or the difference of
two.

The number is a function of how often each unit (a case, or a cluster of them) counts:
once for the data as they are, and as often as it is drawn in a resample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from themis_lib.stats.bootstrap import bca_shares
from themis_lib.stats.clusters import ROUNDING, Floats

Counts = npt.NDArray[np.int64]
#: From how often each unit counts (a row for each resample, a column for each unit) to
#: the number of each row; NaN where it is not defined.
ValuesOf = Callable[[Counts], Floats]

#: Counts in memory at a time: some tens of megabytes.
_COUNTS_AT_ONCE = 2_000_000
#: More groups of units make the acceleration no better; see `_accelerating_changes`.
_MOST_GROUPS = 200
#: Where more of the resamples have no number, the others do not speak for all.
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class Resampled:
    """A number of the data with what resampling tells of it.

    `estimate` is `None` where it is not defined, the others where resampling shows
    nothing: fewer than two units, or all resamples with the same number. `drawn` has the
    number of each resample that has one.
    """

    estimate: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    drawn: Floats


def resampled(
    values_of: ValuesOf,
    units: int,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Resampled:
    """Return a number of the data with its standard error and BCa interval.

    Efron 1987; Efron and Tibshirani 1993, section 14.3. Units are drawn with
    replacement; the digits depend on their order and on the seed.

    >>> scores = np.arange(10.0)
    >>> mean = resampled(lambda counts: counts @ scores / counts.sum(axis=1), 10)
    >>> mean.estimate
    4.5
    """
    nothing = np.array([])
    if not units:
        return Resampled(None, None, None, None, nothing)
    estimate = float(values_of(np.ones((1, units), np.int64))[0])
    if np.isnan(estimate):
        return Resampled(None, None, None, None, nothing)
    if units < 2:
        return Resampled(estimate, None, None, None, nothing)
    random = np.random.default_rng(seed)
    drawn = _draw(values_of, units, resamples, random)
    defined = drawn[~np.isnan(drawn)]
    rounding = ROUNDING * max(float(np.abs(defined).max(initial=0.0)), abs(estimate))
    is_too_few = len(defined) < (1 - _MOST_UNDEFINED) * resamples
    if is_too_few or np.ptp(defined) <= rounding:
        return Resampled(estimate, None, None, None, defined)
    changes = _accelerating_changes(values_of, units, random)
    shares = bca_shares(defined, estimate, rounding, changes, confidence)
    low, high = np.quantile(defined, shares)
    error = float(defined.std(ddof=1))
    return Resampled(estimate, error, float(low), float(high), defined)


def shifted_p_value(
    drawn: Floats,
    estimate: float,
) -> float:
    """Return the two-sided p-value of a difference that is 0 by the null hypothesis.

    It is how often the resampled differences are as far from their own mean as the
    observed one is from 0 (Noreen 1989; Riezler and Maxwell 2005, figure 2), the
    observed one counted among them.

    >>> shifted_p_value(np.array([1.0, 2.0, 3.0]), 2.0)
    0.25
    """
    distances = np.abs(drawn - drawn.mean())
    # Lowered a little, so that distances equal to it but for rounding count as equal.
    as_far = distances >= abs(estimate) - ROUNDING * float(np.abs(drawn).max())
    return float((1 + np.count_nonzero(as_far)) / (1 + len(drawn)))


def _draw(
    values_of: ValuesOf,
    units: int,
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    at_once = max(_COUNTS_AT_ONCE // units, 1)
    values = np.empty(resamples)
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        rows = random.integers(0, units, size=(size, units))
        # All rows are counted at once, each in numbers of its own.
        rows += np.arange(size)[:, None] * units
        counts = np.bincount(rows.ravel(), minlength=size * units)
        values[start : start + size] = values_of(counts.reshape(size, units))
    return values


def _accelerating_changes(
    values_of: ValuesOf,
    units: int,
    random: np.random.Generator,
) -> Floats:
    """Return by how much the number falls without each group of units (the jackknife).

    The acceleration by groups drawn at random is that by single units, up to the
    groups' own chance; so many are enough, and each costs a number.
    """
    groups = min(units, _MOST_GROUPS)
    group_of = random.permutation(units) % groups
    changes: list[Floats] = []
    at_once = max(_COUNTS_AT_ONCE // units, 1)
    for start in range(0, groups, at_once):
        left_out = np.arange(start, min(start + at_once, groups))
        counts = (group_of[None, :] != left_out[:, None]).astype(np.int64)
        changes.append(-values_of(counts))
    influence = np.concatenate(changes)
    influence = influence[~np.isnan(influence)]
    centred: Floats = influence - influence.mean() if len(influence) else influence
    return centred
