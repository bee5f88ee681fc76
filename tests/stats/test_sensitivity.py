"""Sensitivity and specificity, with their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from themis_lib.stats.intervals import wilson_interval
from themis_lib.stats.sensitivity import judge_accuracy


def test_equal_probabilities_are_shares_with_wilsons_interval() -> None:
    labels, scores = (
        np.repeat([1.0, 1, 0, 0], [45, 5, 8, 42]),
        np.repeat([1.0, 0, 1, 0], [45, 5, 8, 42]),
    )

    found = judge_accuracy(scores, labels, np.full(100, 0.1))

    assert (50, 0.9) == (found.sensitivity.n, pytest.approx(found.sensitivity.rate))
    assert wilson_interval(45, 50) == pytest.approx(
        (found.sensitivity.low, found.sensitivity.high)
    )
    assert wilson_interval(42, 50) == pytest.approx(
        (found.specificity.low, found.specificity.high)
    )


def test_rows_that_were_drawn_more_often_count_less() -> None:
    """Half of the doubted rows and a tenth of the others were drawn: the judge is wrong in
    one of 2 · 10 + 10 · 10 / 12 rows.
    """
    labels = np.ones(20)
    scores = np.repeat([0.0, 1.0, 1.0], [5, 5, 10])
    probabilities = np.repeat([0.5, 0.5, 0.1], [5, 5, 10])

    found = judge_accuracy(scores, labels, probabilities).sensitivity

    assert 110 / 120 == pytest.approx(found.rate)
    # Kish: (20 + 100)² / (10 · 4 + 10 · 100) rows of equal weight.
    assert found.low < wilson_interval(110, 120)[0]
    assert (20, True) == (found.n, found.low < found.rate < found.high)


def test_rates_at_an_end_stay_there() -> None:
    probabilities = np.array([0.3, 0.7, 0.11])

    found = judge_accuracy(np.ones(3), np.ones(3), probabilities)

    assert (1.0, 1.0) == (found.sensitivity.rate, found.sensitivity.high)
    assert (0, None, None) == (
        found.specificity.n,
        found.specificity.rate,
        found.specificity.low,
    )


@pytest.mark.parametrize("other", [[0.5, 1.0], [2.0, 1.0]])
def test_other_scores_have_none(other: list[float]) -> None:
    assert judge_accuracy(np.array(other), np.ones(2), np.ones(2)) is None
    assert judge_accuracy(np.ones(2), np.array(other), np.ones(2)) is None
