"""Shapley values: against all orders, one by one, and closed to the last digit."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.stats.shapley import (
    coalitions,
    exact_weights,
    mean_shares,
    sampled_weights,
    shares_of_cases,
)


def by_all_orders(values: dict[int, float], factors: int) -> list[float]:
    """The definition: the mean over all orders of what each factor's change adds."""
    shares = [0.0] * factors
    orders = list(permutations(range(factors)))
    for order in orders:
        coalition = 0
        for factor in order:
            added = values[coalition | 1 << factor] - values[coalition]
            shares[factor] += added / len(orders)
            coalition |= 1 << factor
    return shares


@given(factors=st.integers(1, 5), seed=st.integers(0, 1_000))
def test_shares_are_those_of_all_orders(factors: int, seed: int) -> None:
    """For any scores of any number of cases, whole and case by case."""
    draw = np.random.default_rng(seed)
    values = {key: draw.normal(size=3) for key in range(2**factors)}
    weights = exact_weights(factors)

    of_cases = shares_of_cases(values, weights, factors)
    means = mean_shares(values, weights, factors)

    for case in range(3):
        expected = by_all_orders({key: v[case] for key, v in values.items()}, factors)
        assert expected == pytest.approx(of_cases[:, case].tolist())
    assert means == pytest.approx(of_cases.mean(axis=1).tolist())


@given(factors=st.integers(1, 8), seed=st.integers(0, 1_000))
def test_shares_sum_to_the_difference_exactly(factors: int, seed: int) -> None:
    """To the last bit, also where the orders are sampled, unless shares cancel."""
    draw = np.random.default_rng(seed)
    weights = exact_weights(factors) if factors < 6 else sampled_weights(factors, 4, 0)
    # Tenths are no floats: their sums round.
    values = {key: draw.integers(0, 11, 7) / 10 for key in coalitions(weights)}

    shares = mean_shares(values, weights, factors)

    first, last = values[0], values[2**factors - 1]
    difference = sum(map(Fraction, last.tolist())) - sum(map(Fraction, first.tolist()))
    exact = float(difference / 7)
    digits = [math.ulp(share) for share in shares if share]
    # Shares that cancel have no digits as fine as what is left.
    if digits and min(digits) <= math.ulp(exact):
        assert exact == math.fsum(shares)
    assert exact == pytest.approx(math.fsum(shares), abs=max(digits, default=0))


def test_published_game() -> None:
    """The glove game: one left glove is worth as much as two right ones compete for.

    Players 0 and 1 have a left glove each, player 2 a right one; a pair is worth 1:
    1/6, 1/6 and 2/3 (Shapley 1953's value, as in Osborne and Rubinstein 1994, ch. 14).
    """
    values = {}
    for coalition in range(8):
        has_pair = coalition & 0b100 and coalition & 0b011
        values[coalition] = np.array([1.0 if has_pair else 0.0])

    shares = mean_shares(values, exact_weights(3), 3)

    assert [1 / 6, 1 / 6, 2 / 3] == pytest.approx(shares)


def test_sampled_orders_come_near_the_exact_shares() -> None:
    """64 orders of seven factors with interactions are within a twentieth."""
    draw = np.random.default_rng(3)
    pull = draw.normal(size=7)
    values = {}
    for coalition in range(2**7):
        chosen = [bool(coalition >> at & 1) for at in range(7)]
        together = float(all(chosen[:3]))
        values[coalition] = np.array([float(pull[chosen].sum()) + together])

    exact = mean_shares(values, exact_weights(7), 7)
    sampled = mean_shares(values, sampled_weights(7, 64, seed=1), 7)

    assert exact == pytest.approx(sampled, abs=0.05)
    assert exact != sampled
    assert sampled == mean_shares(values, sampled_weights(7, 64, seed=1), 7)
