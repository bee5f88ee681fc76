"""The BCa bootstrap against scipy, and its digits, which are the same on every run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from themis_lib.stats import bootstrap
from themis_lib.stats.bootstrap import bootstrap_interval
from themis_lib.stats.intervals import Interval, mean_interval

#: How far two bootstraps of 10,000 resamples may differ by chance, in standard errors.
CHANCE = 0.2


def skewed(seed: int, size: int) -> Any:
    return np.random.default_rng(seed).gamma(0.5, size=size)


def scipy_interval(scores: Any, resamples: int = 10_000) -> tuple[float, float]:
    found = scipy.stats.bootstrap(
        (scores,), np.mean, method="BCa", n_resamples=resamples, rng=1, batch=1000
    )
    return found.confidence_interval.low, found.confidence_interval.high


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(40, 300))
def test_interval_is_that_of_scipy(seed: int, size: int) -> None:
    """For skewed scores, where bias correction and acceleration show, the ends are
    scipy's but for chance.

    Of fewer scores the corrected end lies so far out that chance moves it further.
    """
    scores = skewed(seed, size)

    found = bootstrap_interval(scores, resamples=50_000)

    assert scipy_interval(scores, 50_000) == pytest.approx(
        found, abs=CHANCE * scipy.stats.sem(scores)
    )


@settings(max_examples=10)
@given(st.integers(1, 49))
def test_interval_of_a_proportion_is_that_of_scipy(successes: int) -> None:
    """Of 0 and 1 each end may besides be one success off: there is nothing between."""
    scores = np.repeat([1.0, 0.0], [successes, 50 - successes])

    found = bootstrap_interval(scores)

    assert scipy_interval(scores) == pytest.approx(found, abs=1.01 / 50)


def test_interval_is_accelerated() -> None:
    """Negative control: the plain percentiles of the resamples are further from scipy's
    than chance allows.
    """
    scores = skewed(0, 40)
    drawn = np.random.default_rng(0).choice(scores, (10_000, 40)).mean(axis=1)

    plain = np.quantile(drawn, [0.025, 0.975])

    assert scipy_interval(scores) != pytest.approx(
        tuple(plain), abs=CHANCE * scipy.stats.sem(scores)
    )


@pytest.mark.parametrize(
    ("scores", "clusters", "expected"),
    [
        (np.repeat([1.0, 0.0], [30, 70]), None, (0.22, 0.4)),
        (np.arange(100.0), None, (43.75317933204996, 55.06)),
        (np.arange(100.0), np.arange(100) // 4, (38.3, 60.7)),
        (
            np.arange(100.0),
            np.sqrt(np.arange(100)).astype(int),
            (31.027871948793788, 71.19462298107813),
        ),
        (np.arange(20_000.0), None, (9918.82104058329, 10078.780429630338)),
    ],
    ids=["0 and 1", "continuous", "equal clusters", "unequal clusters", "cells"],
)
def test_digits_are_the_same_for_ever(
    scores: Any, clusters: Any, expected: tuple[float, float]
) -> None:
    """A seed has one interval, on every run and machine, in whatever order the scores
    come.
    """
    turned = None if clusters is None else clusters[::-1]

    assert expected == pytest.approx(
        bootstrap_interval(scores, clusters=clusters), rel=1e-12
    )
    assert bootstrap_interval(scores, clusters=clusters) == bootstrap_interval(
        scores[::-1], clusters=turned
    )


def test_seed_and_resamples_say_what_is_drawn() -> None:
    """Another seed draws other resamples, and so do more of them."""
    scores = skewed(4, 30)

    found = {
        bootstrap_interval(scores, seed=seed, resamples=count)
        for seed in (0, 1)
        for count in (1000, 2000)
    }

    assert 4 == len(found)


@pytest.mark.parametrize(
    "scores", [skewed(3, 30_000), np.random.default_rng(3).lognormal(0, 2, 30_000)]
)
def test_cells_draw_what_single_draws_draw(
    scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resampled means of many scores, drawn by cells, have the distribution of
    those drawn one by one.
    """
    one_by_one = bootstrap._sums_by_draws((scores,), 4000, np.random.default_rng(0))[0]

    by_cells = bootstrap._sums_by_cells(scores, 4000, np.random.default_rng(1))

    assert scipy.stats.ks_2samp(one_by_one, by_cells).pvalue > 0.01
    assert one_by_one.std() == pytest.approx(by_cells.std(), rel=0.05)


def test_cells_keep_mean_and_variance() -> None:
    """No part of the scores' variance is lost between the cells and within them."""
    scores = skewed(5, 50_000)

    means, variances, counts = bootstrap._cell_moments(scores)

    shares = counts / len(scores)
    assert scores.mean() == pytest.approx((shares * means).sum())
    assert scores.var() == pytest.approx(
        (shares * (variances + (means - scores.mean()) ** 2)).sum()
    )


def test_clusters_are_drawn_whole() -> None:
    """Scores repeated in clusters have the interval of the scores that were
    repeated.
    """
    scores = skewed(1, 50)

    repeated = bootstrap_interval(
        np.repeat(scores, 4), clusters=np.repeat(np.arange(50), 4)
    )

    assert bootstrap_interval(scores) == pytest.approx(repeated)


def test_mean_and_error_stand_beside_it() -> None:
    """The interval is the bootstrap's, the standard error the same as with any
    method.
    """
    scores = skewed(2, 60)

    interval = mean_interval(scores, method="bootstrap", resamples=500, seed=7)

    low, high = bootstrap_interval(scores, resamples=500, seed=7)
    assert Interval(
        pytest.approx(scores.mean()),
        pytest.approx(scipy.stats.sem(scores)),
        low,
        high,
        "bootstrap",
    ) == (interval)


@pytest.mark.parametrize(
    ("scores", "clusters"),
    [
        ([0.3], None),
        ([], None),
        ([1.0] * 9, None),
        ([0.1] * 7, None),
        ([0.0, 1.0, 0.0, 1.0], [0, 0, 1, 1]),
    ],
    ids=["one", "none", "all 1", "all alike", "alike clusters"],
)
def test_what_resampling_cannot_show_is_null(
    scores: list[float], clusters: list[int] | None
) -> None:
    """Scores that are all alike resample to themselves; that is no evidence that others
    would be.
    """
    assert (
        bootstrap_interval(np.array(scores), clusters=clusters and np.array(clusters))
        is None
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["0 and 1", "continuous"])
def test_ten_thousand_resamples_of_a_hundred_thousand_take_about_a_second(
    kind: str,
) -> None:
    """The aim is one second on an idle machine; three leave room for one that is
    not.
    """
    scores = skewed(0, 100_000)
    scores = np.round(scores > 1).astype(float) if kind == "0 and 1" else scores

    began = time.thread_time()
    bootstrap_interval(scores)

    assert time.thread_time() - began < 3
