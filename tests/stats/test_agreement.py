"""Cohen's kappa against published values and statsmodels."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa as kappa_of

from themis_lib.stats.agreement import Agreement, cohens_kappa, weighted_kappa


def test_published_values() -> None:
    """The example of Fleiss, Cohen and Everitt 1969: 200 cases in three categories."""
    shares = [[0.53, 0.05, 0.02], [0.11, 0.14, 0.05], [0.01, 0.06, 0.03]]
    counts = {
        (str(row), str(column)): round(200 * shares[row][column])
        for row in range(3)
        for column in range(3)
    }

    agreement = cohens_kappa(counts)

    assert (200, 0.7) == (agreement.n, pytest.approx(agreement.observed))
    assert 0.429 == pytest.approx(agreement.kappa, abs=5e-4)
    assert math.sqrt(0.002885) * 1.96 == pytest.approx(
        agreement.kappa - agreement.low, abs=5e-4
    )


tables = st.tuples(*[st.integers(min_value=1, max_value=50)] * 4)
square_tables = st.integers(2, 6).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(1, 1000), min_size=size, max_size=size),
        min_size=size,
        max_size=size,
    )
)


@given(square_tables)
def test_kappa_and_interval_are_those_of_statsmodels(table: list[list[int]]) -> None:
    """For two to six categories; the interval is cut where kappa cannot be."""
    counts = {
        (str(row), str(column)): count
        for row, line in enumerate(table)
        for column, count in enumerate(line)
    }
    expected = kappa_of(table)

    agreement = cohens_kappa(counts)

    assert expected.kappa == pytest.approx(agreement.kappa, abs=1e-12)
    assert max(expected.kappa_low, -1) == pytest.approx(agreement.low, abs=1e-12)
    assert min(expected.kappa_upp, 1) == pytest.approx(agreement.high, abs=1e-12)


@given(tables)
def test_observed_agreement_is_the_share_of_equal_pairs(
    table: tuple[int, int, int, int],
) -> None:
    """The diagonal's share of all cases."""
    yes, one, other, no = table

    agreement = cohens_kappa(
        {("1", "1"): yes, ("1", "0"): one, ("0", "1"): other, ("0", "0"): no}
    )

    assert (yes + no) / sum(table) == pytest.approx(agreement.observed)


@given(tables)
def test_raters_and_categories_have_no_order(table: tuple[int, int, int, int]) -> None:
    """Swapping the raters, or renaming the categories, changes nothing."""
    yes, one, other, no = table

    agreement = cohens_kappa(
        {("a", "a"): yes, ("a", "b"): one, ("b", "a"): other, ("b", "b"): no}
    )
    swapped = cohens_kappa(
        {("y", "y"): yes, ("x", "y"): one, ("y", "x"): other, ("x", "x"): no}
    )

    assert agreement.kappa == pytest.approx(swapped.kappa)
    assert (agreement.low, agreement.high) == pytest.approx((swapped.low, swapped.high))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, Agreement(0, None, None, None, None)),
        ({("1", "1"): 7}, Agreement(7, 1.0, None, None, None)),
        ({("1", "1"): 4, ("0", "0"): 3}, Agreement(7, 1.0, 1.0, None, None)),
        ({("1", "1"): 4, ("1", "0"): 4}, Agreement(8, 0.5, 0.0, None, None)),
        ({("1", "0"): 5}, Agreement(5, 0.0, 0.0, None, None)),
    ],
    ids=[
        "no cases",
        "one category",
        "never differ",
        "one rater constant",
        "always differ",
    ],
)
def test_what_the_cases_cannot_say_is_null(
    counts: dict[tuple[str, str], int], expected: Agreement
) -> None:
    """No kappa without two categories, and no interval without any variance."""
    assert expected == cohens_kappa(counts)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
@given(square_tables)
def test_weighted_kappa_is_that_of_statsmodels(
    weights: Literal["linear", "quadratic"], table: list[list[int]]
) -> None:
    """Grades 1, 2, 3, …, whose distances are those of their places."""
    counts = np.minimum(np.array(table), 9)
    first, second = np.indices(counts.shape) + 1.0
    expected = kappa_of(counts, wt=weights)

    agreement = weighted_kappa(
        np.repeat(first, counts.ravel()),
        np.repeat(second, counts.ravel()),
        weights=weights,
    )

    assert expected.kappa == pytest.approx(agreement.kappa, abs=1e-12)
    assert max(expected.kappa_low, -1) == pytest.approx(agreement.low, abs=1e-9)
    assert min(expected.kappa_upp, 1) == pytest.approx(agreement.high, abs=1e-9)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_kappa_is_that_of_scikit_learn(
    weights: Literal["linear", "quadratic"],
) -> None:
    """It counts the places of labels, so every grade is named."""
    random = np.random.default_rng(0)
    first = random.integers(1, 6, 200)
    second = np.clip(first + random.integers(-1, 2, 200), 1, 5)

    agreement = weighted_kappa(
        first.astype(float), second.astype(float), weights=weights
    )

    expected = cohen_kappa_score(first, second, labels=[1, 2, 3, 4, 5], weights=weights)
    assert expected == pytest.approx(agreement.kappa)


def test_weights_go_by_the_distance_of_the_grades() -> None:
    """A grade that nobody gave still lies between its neighbours."""
    first, second = np.array([1.0, 2, 5, 5]), np.array([1.0, 2, 2, 5])
    near, far = np.array([1.0, 4, 5, 5]), np.array([1.0, 4, 4, 5])

    assert weighted_kappa(first, second).kappa < weighted_kappa(near, far).kappa


def test_one_grade_has_no_weighted_kappa() -> None:
    assert weighted_kappa(np.ones(3), np.ones(3)) == Agreement(3, 1.0, None, None, None)
    assert weighted_kappa(np.ones(0), np.ones(0)) == Agreement(
        0, None, None, None, None
    )
