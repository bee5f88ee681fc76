"""The estimates of pass@k and pass^k, and what their mean over cases is worth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.stats.intervals import mean_interval
from themis_lib.stats.pass_at_k import all_pass, pass_at_k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"), [(10, 3, 5, 0.9166667), (200, 13, 10, 0.497551114731)]
)
def test_pass_at_k_has_the_published_values(
    n: int, c: int, k: int, expected: float
) -> None:
    """The estimator of Chen et al. 2021."""
    assert expected == pytest.approx(pass_at_k(n, c, k), abs=5e-8)


def test_too_few_samples_give_no_estimate() -> None:
    """n < k is null, also where every sample passes."""
    assert (None, None) == (pass_at_k(4, 4, 5), all_pass(4, 4, 5))


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 8))
def test_estimators_equal_brute_force(passes: list[bool], k: int) -> None:
    """Of all draws of k samples, pass@k is the share with a pass and pass^k the share
    of passes only.
    """
    n, c = len(passes), sum(passes)
    draws = list(itertools.combinations(passes, k))

    expected = (
        (sum(map(any, draws)) / len(draws), sum(map(all, draws)) / len(draws))
        if draws
        else (None, None)
    )

    assert pytest.approx(expected) == (pass_at_k(n, c, k), all_pass(n, c, k))


def test_large_samples_do_not_overflow() -> None:
    """Binomials of thousands have hundreds of digits; the estimates are still numbers
    from 0 to 1.
    """
    assert pytest.approx(0.9990, abs=1e-4) == pass_at_k(10_000, 5_000, 10)
    assert pytest.approx(2**-10, rel=1e-2) == all_pass(10_000, 5_000, 10)


def test_interval_is_over_cases() -> None:
    """The interval of pass@k is that of the cases' estimates: samples of one case are
    not cases of their own.
    """
    estimates = np.array([pass_at_k(10, c, 3) for c in (0, 1, 3, 5, 10, 10)])

    interval = mean_interval(estimates)

    assert ("t", estimates.mean()) == (interval.method, pytest.approx(interval.mean))
    assert estimates.std(ddof=1) / np.sqrt(6) == pytest.approx(interval.standard_error)
