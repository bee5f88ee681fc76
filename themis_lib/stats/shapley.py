"""Shapley values: a difference between two settings of several factors, shared out.

Shapley, L. S. (1953), "A value for n-person games". A factor's share is the mean, over
all orders in which the factors could be changed one by one, of what its own change
adds. A coalition of factors is a bit mask: bit i is set where factor i is changed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from themis_lib.stats.clusters import Floats
from themis_lib.stats.sums import fraction_sum

#: By factor and the coalition before it: the weight of what changing the factor adds.
Weights = Mapping[tuple[int, int], Fraction]


def exact_weights(factors: int) -> Weights:
    """Return the weights over all orders of so many factors.

    >>> {key: str(weight) for key, weight in exact_weights(2).items()}
    {(0, 0): '1/2', (0, 2): '1/2', (1, 0): '1/2', (1, 1): '1/2'}
    """
    weights = {}
    for factor in range(factors):
        for coalition in range(2**factors):
            if coalition >> factor & 1:
                continue
            size = coalition.bit_count()
            orders = math.factorial(size) * math.factorial(factors - size - 1)
            weights[factor, coalition] = Fraction(orders, math.factorial(factors))
    return weights


def sampled_weights(
    factors: int,
    orders: int,
    seed: int,
) -> Weights:
    """Return the weights over so many random orders, each together with its reverse.

    The reverse takes out part of the chance (Mitchell et al. 2022, "Sampling
    permutations for Shapley value estimation"). The shares still sum to the difference.
    """
    draw = np.random.default_rng(seed)
    counts: Counter[tuple[int, int]] = Counter()
    for _ in range(orders):
        order = draw.permutation(factors).tolist()
        for each in (order, order[::-1]):
            coalition = 0
            for factor in each:
                counts[factor, coalition] += 1
                coalition |= 1 << factor
    return {key: Fraction(count, 2 * orders) for key, count in sorted(counts.items())}


def coalitions(weights: Weights) -> list[int]:
    """Return the coalitions whose value is needed, the smallest number first."""
    needed = set()
    for factor, coalition in weights:
        needed |= {coalition, coalition | 1 << factor}
    return sorted(needed)


def shares_of_cases(
    values: Mapping[int, Floats],
    weights: Weights,
    factors: int,
) -> Floats:
    """Return the share of each factor in the difference of each case.

    `values` has the scores of the cases under each coalition. The result is factors ×
    cases.
    """
    cases = len(values[0])
    shares = np.zeros((factors, cases))
    for (factor, coalition), weight in weights.items():
        added = values[coalition | 1 << factor] - values[coalition]
        shares[factor] += float(weight) * added
    return shares


def mean_shares(
    values: Mapping[int, Floats],
    weights: Weights,
    factors: int,
) -> list[float]:
    """Return the share of each factor in the difference of the means.

    Their sum, by `math.fsum`, is the difference of the means to the last bit, unless
    large shares cancel to a difference that is finer than their own digits.

    >>> values = {0: np.array([0.0]), 1: np.array([0.5]), 2: np.array([0.0])}
    >>> mean_shares({**values, 3: np.array([1.0])}, exact_weights(2), 2)
    [0.75, 0.25]
    """
    totals = {
        coalition: fraction_sum(*np.unique(scores, return_counts=True))
        for coalition, scores in values.items()
    }
    cases = len(values[0])
    exact = [Fraction(0)] * factors
    for (factor, coalition), weight in weights.items():
        added = totals[coalition | 1 << factor] - totals[coalition]
        exact[factor] += weight * added
    shares = [float(share / cases) for share in exact]
    difference = (totals[2**factors - 1] - totals[0]) / cases
    return _closed(shares, float(difference))


def _closed(
    shares: Sequence[float],
    total: float,
) -> list[float]:
    """Return shares whose sum is a total: one of them takes what rounding lost."""
    if math.fsum(shares) == total:
        return list(shares)
    # The smallest first, whose digits are the finest; what moves nothing keeps its 0.
    places = [at for at in range(len(shares)) if shares[at]]
    for at in sorted(places, key=lambda at: abs(shares[at])):
        others = sum((Fraction(each) for each in shares), -Fraction(shares[at]))
        closed = list(shares)
        closed[at] = float(Fraction(total) - others)
        if math.fsum(closed) == total:
            return closed
    return list(shares)
