"""The bootstrap of any number of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from themis_lib.stats.resampling import resampled, shifted_p_value

SCORES = np.random.default_rng(0).exponential(size=60)


def ratio(counts: Any) -> Any:
    """The spread of the scores over their mean, each counted so often."""
    total = counts.sum(axis=1)
    mean = counts @ SCORES / total
    return np.sqrt(np.maximum(counts @ SCORES**2 / total - mean**2, 0)) / mean


def test_interval_is_the_bca_of_scipy() -> None:
    """Up to the draws, which differ."""
    expected = scipy.stats.bootstrap(
        (SCORES,),
        lambda x, axis: np.std(x, axis=axis) / np.mean(x, axis=axis),
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    )

    found = resampled(ratio, len(SCORES), resamples=20_000)

    assert SCORES.std() / SCORES.mean() == pytest.approx(found.estimate)
    assert expected.standard_error == pytest.approx(found.standard_error, rel=0.03)
    assert list(expected.confidence_interval) == pytest.approx(
        [found.low, found.high], abs=0.01
    )


def test_same_seed_gives_the_same_digits() -> None:
    """And another seed does not."""
    first, again = (resampled(ratio, 60, resamples=500).low for _ in range(2))

    assert first == again != resampled(ratio, 60, resamples=500, seed=1).low


@pytest.mark.parametrize(
    ("units", "values_of", "estimate"),
    [
        (0, ratio, None),
        (1, lambda counts: counts[:, 0] * 0.5, 0.5),
        (20, lambda counts: np.full(len(counts), 0.25), 0.25),
        (20, lambda counts: np.full(len(counts), np.nan), None),
        (20, lambda counts: np.where(counts[:, 0] > 0, 1.0, np.nan), 1.0),
    ],
    ids=["nothing", "one unit", "never varies", "not defined", "often not defined"],
)
def test_no_interval_where_resampling_shows_nothing(
    units: int, values_of: Any, estimate: Any
) -> None:
    """The number is there without one, if it is defined."""
    found = resampled(values_of, units, resamples=200)

    assert (estimate, None, None) == (found.estimate, found.low, found.high)


def test_p_value_counts_both_tails() -> None:
    """A difference of two standard errors has the p-value of a normal distribution."""
    drawn = np.random.default_rng(0).normal(2.0, 1.0, size=100_000)

    assert 0.0455 == pytest.approx(shifted_p_value(drawn, 2.0), abs=0.003)
