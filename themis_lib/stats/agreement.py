"""The agreement of two raters beyond chance, in categories and in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import Floats

#: What a difference of two ratings counts: its size, or the square of it.
Weights = Literal["linear", "quadratic"]
#: The probability beyond each end of a 95 % interval.
_TAIL = 0.025
#: Below this a variance is rounding.
_NO_VARIANCE = 1e-12


@dataclass(frozen=True)
class Agreement:
    """The observed agreement on `n` cases, and Cohen's kappa with its 95 % interval.

    Kappa is `None` if chance alone explains the agreement: without cases, or with one
    category on both sides. The interval is `None` if its variance is zero, as for
    raters who never differ or a rater who gives one category only.
    """

    n: int
    observed: float | None
    kappa: float | None
    low: float | None
    high: float | None


def cohens_kappa(counts: Mapping[tuple[str, str], int]) -> Agreement:
    """Return the agreement of two raters from the count of each pair of categories.

    Kappa: Cohen 1960; its interval: the asymptotic normal one of Fleiss, Cohen and
    Everitt 1969, cut to [-1, 1].

    >>> both, first, second, neither = ("y", "y"), ("y", "n"), ("n", "y"), ("n", "n")
    >>> agreement = cohens_kappa({both: 20, first: 5, second: 10, neither: 15})
    >>> agreement.n, agreement.observed, round(agreement.kappa, 6)
    (50, 0.7, 0.4)
    """
    categories: set[str] = set()
    for pair in counts:
        categories.update(pair)
    order = sorted(categories)
    table = np.zeros((len(order), len(order)), dtype=np.int64)
    for (first, second), count in counts.items():
        table[order.index(first), order.index(second)] = count
    # Only equal categories agree.
    return _agreement(table, np.eye(len(order)))


def weighted_kappa(
    first: Floats,
    second: Floats,
    *,
    weights: Weights = "quadratic",
) -> Agreement:
    """Return the agreement of two raters' numbers, where a near miss is half an agreement.

    Both arrays have a rating of each case. A pair of ratings agrees by 1 less its
    distance, or the square of it, as a share of the widest distance that occurs (Cohen
    1968; the interval: Fleiss, Cohen and Everitt 1969). `observed` still counts equal
    ratings.

    >>> agreement = weighted_kappa(np.array([1.0, 2, 3, 3]), np.array([1.0, 2, 2, 3]))
    >>> round(agreement.kappa, 4)
    0.8
    """
    values, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    table = np.zeros((len(values), len(values)), dtype=np.int64)
    np.add.at(table, (codes[: len(first)], codes[len(first) :]), 1)
    if len(values) < 2:
        return _agreement(table, np.eye(len(values)))
    distances = np.abs(np.subtract.outer(values, values)) / (values[-1] - values[0])
    power = 2 if weights == "quadratic" else 1
    return _agreement(table, 1 - distances**power)


def _agreement(
    table: npt.NDArray[np.int64],
    weights: Floats,
) -> Agreement:
    """Return the agreement in the count of each pair of categories.

    `weights` says how far each pair agrees, 1 for equal categories.
    """
    n = int(table.sum())
    if not n:
        return Agreement(n=0, observed=None, kappa=None, low=None, high=None)
    observed = float(np.trace(table)) / n
    if len(table) == 1:
        return Agreement(n=n, observed=observed, kappa=None, low=None, high=None)
    kappa, variance = _kappa_and_variance(table, weights)
    if variance < _NO_VARIANCE:
        return Agreement(n=n, observed=observed, kappa=kappa, low=None, high=None)
    from scipy.special import ndtri

    reach = -float(ndtri(_TAIL)) * math.sqrt(variance)
    # The normal approximation may reach past what kappa can be.
    low, high = max(kappa - reach, -1.0), min(kappa + reach, 1.0)
    return Agreement(n=n, observed=observed, kappa=kappa, low=low, high=high)


def _kappa_and_variance(
    table: npt.NDArray[np.int64],
    weights: Floats,
) -> tuple[float, float]:
    """Return weighted kappa and its asymptotic variance (Fleiss, Cohen and Everitt 1969,
    equation 14) from the count of each pair of categories.
    """
    n = table.sum()
    shares = table / n
    first, second = shares.sum(axis=1), shares.sum(axis=0)
    observed = float((weights * shares).sum())
    chance = float(first @ weights @ second)
    kappa = (observed - chance) / (1 - chance)
    # The mean agreement of each category with what the other rater gives.
    by_first = weights @ second
    by_second = first @ weights
    spread = weights - np.add.outer(by_first, by_second) * (1 - kappa)
    variance = float((shares * spread**2).sum())
    variance -= (kappa - chance * (1 - kappa)) ** 2
    return kappa, variance / (1 - chance) ** 2 / float(n)
