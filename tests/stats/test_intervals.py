"""Intervals against published values and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from themis_lib.stats.intervals import Interval, mean_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (28, 29, (0.8282, 0.9939)),  # the mirror image of 1 of 29
    ],
)
def test_wilson_interval_is_as_published(
    successes: int, trials: int, expected: tuple[float, float]
) -> None:
    """Wilson's interval has the values of Newcombe (1998), to four places, and stays
    within 0 and 1.
    """
    low, high = wilson_interval(successes, trials)

    assert expected == (round(low, 4), round(high, 4))
    assert low >= 0.0
    assert high <= 1.0


def test_wilson_interval_to_six_places() -> None:
    """8 of 10 has the interval that every text gives."""
    low, high = wilson_interval(8, 10)

    assert (0.490162, 0.943318) == (round(low, 6), round(high, 6))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_wilson_interval_agrees_with_scipy(confidence: float) -> None:
    """For every count of successes, the interval is scipy's."""
    for successes in range(13):
        expected = scipy.stats.binomtest(successes, 12).proportion_ci(
            confidence, method="wilson"
        )

        assert wilson_interval(successes, 12, confidence=confidence) == pytest.approx(
            tuple(expected), abs=1e-12
        )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_t_interval_agrees_with_scipy(seed: int, confidence: float) -> None:
    """For scores that are not all 0 or 1 the interval is Student's, as scipy computes
    it.
    """
    draw = np.random.default_rng(seed)
    scores = draw.normal(
        draw.uniform(-1, 1), draw.uniform(0.1, 3), size=int(draw.integers(2, 200))
    )
    error = scipy.stats.sem(scores)

    interval = mean_interval(scores, confidence=confidence)

    assert "t" == interval.method
    assert scores.mean() == pytest.approx(interval.mean)
    assert error == pytest.approx(interval.standard_error)
    assert scipy.stats.t.interval(
        confidence, len(scores) - 1, scores.mean(), error
    ) == pytest.approx((interval.low, interval.high))


def test_standard_error_is_as_published() -> None:
    """The scores 0 to 9 have a standard error of 0.957."""
    interval = mean_interval(np.arange(10.0))

    assert (4.5, 0.957) == (interval.mean, round(interval.standard_error or 0, 3))


def test_scores_of_0_and_1_have_wilson_s_interval() -> None:
    """Scores that are all 0 or 1 are a proportion, with the standard error of their
    mean beside it.
    """
    scores = np.array([1.0] * 8 + [0.0] * 2)

    interval = mean_interval(scores)

    assert "wilson" == interval.method
    assert wilson_interval(8, 10) == (interval.low, interval.high)
    assert scipy.stats.sem(scores) == pytest.approx(interval.standard_error)


def test_no_scores_have_no_interval() -> None:
    """The mean of nothing is null, not 0."""
    assert Interval(None, None, None, None, None) == mean_interval(np.array([]))


def test_one_score_has_no_error() -> None:
    """One score has a mean and no standard error; an interval only as a proportion."""
    low, high = wilson_interval(1, 1)

    assert Interval(0.5, None, None, None, None) == mean_interval(np.array([0.5]))
    assert Interval(1.0, None, low, high, "wilson") == mean_interval(np.array([1.0]))


@pytest.mark.parametrize("count", [2, 3, 10])
def test_equal_scores_have_no_interval(count: int) -> None:
    """Scores that do not vary, but for rounding, are no evidence that others would not:
    an error of 0, no interval.
    """
    interval = mean_interval(np.full(count, 0.1))

    assert (pytest.approx(0.1), pytest.approx(0.0)) == (
        interval.mean,
        interval.standard_error,
    )
    assert (None, None, None) == (interval.low, interval.high, interval.method)


def test_order_does_not_matter() -> None:
    """A mean is the same, to the last bit, in whatever order the scores come."""
    scores = np.random.default_rng(0).random(1000) * 10.0 ** np.arange(-10, 10).repeat(
        50
    )

    assert mean_interval(scores) == mean_interval(scores[::-1])
