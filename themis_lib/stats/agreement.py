"""How far two raters agree beyond chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: Below this a variance is rounding.
_NO_VARIANCE = 1e-12


@dataclass(frozen=True)
class Agreement:
    """`n` cases that both raters judged, the share they agree on, and Cohen's kappa
    with its 95 % interval.

    Kappa is null where chance alone explains everything: no cases, or one category on
    both sides. The interval is null where its variance is zero, as for raters who never
    differ or one who always says the same.
    """

    n: int
    observed: float | None
    kappa: float | None
    low: float | None
    high: float | None


def cohens_kappa(counts: Mapping[tuple[str, str], int]) -> Agreement:
    """The agreement of two raters, from how often each pair of categories was given.

    Kappa: Cohen 1960; its interval: the asymptotic normal one of Fleiss, Cohen and
    Everitt 1969, cut to [-1, 1].

    >>> both, first, second, neither = ("y", "y"), ("y", "n"), ("n", "y"), ("n", "n")
    >>> agreement = cohens_kappa({both: 20, first: 5, second: 10, neither: 15})
    >>> agreement.n, agreement.observed, round(agreement.kappa, 6)
    (50, 0.7, 0.4)
    """
    categories = sorted({category for pair in counts for category in pair})
    table = np.array(
        [[counts.get((row, column), 0) for column in categories] for row in categories],
        dtype=np.int64,
    )
    n = int(table.sum())
    if not n:
        return Agreement(
            0,
            None,
            None,
            None,
            None,
        )
    observed = float(np.trace(table)) / n
    if len(categories) == 1:
        return Agreement(
            n,
            observed,
            None,
            None,
            None,
        )
    from statsmodels.stats.inter_rater import cohens_kappa as kappa_of

    with np.errstate(
        invalid="ignore",
        divide="ignore",
    ):  # its test against zero, which is not asked for
        result = kappa_of(table)
    kappa = float(result.kappa)
    if result.var_kappa < _NO_VARIANCE:
        return Agreement(
            n,
            observed,
            kappa,
            None,
            None,
        )
    return Agreement(
        n,
        observed,
        kappa,
        max(float(result.kappa_low), -1.0),
        min(float(result.kappa_upp), 1.0),
    )
