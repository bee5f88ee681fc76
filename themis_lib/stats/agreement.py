"""The agreement of two raters beyond chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    n = int(table.sum())
    if not n:
        return Agreement(n=0, observed=None, kappa=None, low=None, high=None)
    observed = float(np.trace(table)) / n
    if len(order) == 1:
        return Agreement(n=n, observed=observed, kappa=None, low=None, high=None)
    kappa, variance = _kappa_and_variance(table)
    if variance < _NO_VARIANCE:
        return Agreement(n=n, observed=observed, kappa=kappa, low=None, high=None)
    from scipy.special import ndtri

    reach = -float(ndtri(_TAIL)) * math.sqrt(variance)
    # The normal approximation may reach past what kappa can be.
    low, high = max(kappa - reach, -1.0), min(kappa + reach, 1.0)
    return Agreement(n=n, observed=observed, kappa=kappa, low=low, high=high)


def _kappa_and_variance(table: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return kappa and its asymptotic variance (Fleiss, Cohen and Everitt 1969) from
    the count of each pair of categories.
    """
    n = table.sum()
    shares = table / n
    both = np.diag(shares)
    first, second = table.sum(axis=1) / n, table.sum(axis=0) / n
    chance = np.diag(second * first[:, np.newaxis]).sum()
    kappa = (np.trace(table) / n - chance) / (1 - chance)
    agreeing = (both * (1 - (first + second) * (1 - kappa)) ** 2).sum()
    # The share of each category with the other rater: crossed on purpose.
    differing = shares * (second[:, np.newaxis] + first) ** 2
    np.fill_diagonal(differing, 0.0)
    spread = agreeing + (1 - kappa) ** 2 * differing.sum()
    variance = (spread - (kappa - chance * (1 - kappa)) ** 2) / (1 - chance) ** 2 / n
    return float(kappa), float(variance)
