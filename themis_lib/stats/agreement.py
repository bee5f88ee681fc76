"""The agreement of two raters beyond chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

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
    from statsmodels.stats.inter_rater import cohens_kappa as kappa_of

    # statsmodels also tests kappa against zero, which divides by zero for some tables.
    with np.errstate(invalid="ignore", divide="ignore"):
        result = kappa_of(table)
    kappa = float(result.kappa)
    if result.var_kappa < _NO_VARIANCE:
        return Agreement(n=n, observed=observed, kappa=kappa, low=None, high=None)
    # The normal approximation may reach past what kappa can be.
    low = max(float(result.kappa_low), -1.0)
    high = min(float(result.kappa_upp), 1.0)
    return Agreement(n=n, observed=observed, kappa=kappa, low=low, high=high)
