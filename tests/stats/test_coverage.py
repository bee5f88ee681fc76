"""How often an interval at 95 % holds the truth, simulated: 93 to 97 times of 100 where
its method is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import beta

from themis_lib.stats.intervals import Interval, mean_interval
from themis_lib.stats.pass_at_k import all_pass, pass_at_k

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_RUNS = 3000
Simulate = Callable[[np.random.Generator], Interval]


def coverage(truth: float, simulate: Simulate) -> float:
    """The share of simulated intervals that hold the truth."""
    random = np.random.default_rng(0)
    intervals = [simulate(random) for _ in range(_RUNS)]
    return float(np.mean([found.low <= truth <= found.high for found in intervals]))


def covers(truth: float, simulate: Simulate) -> None:
    assert 0.93 <= coverage(truth, simulate) <= 0.97


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_wilson_covers_a_proportion(rate: float) -> None:
    """Scores of 0 and 1 at rates low and high."""
    covers(
        rate, lambda random: mean_interval((random.random(150) < rate).astype(float))
    )


def test_t_covers_a_mean_of_few_scores() -> None:
    """Ten normal scores have the heavier tails of Student's t."""
    covers(0.3, lambda random: mean_interval(random.normal(0.3, 2, size=10)))


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: random.exponential(size=200),
        lambda random: 2 * random.beta(2, 2, size=200),
    ],
    ids=["skewed", "bounded"],
)
def test_bootstrap_covers_a_mean(draw: Callable[[np.random.Generator], Any]) -> None:
    """Skewed scores and scores within bounds, both of mean 1."""
    covers(
        1.0,
        lambda random: mean_interval(draw(random), method="bootstrap", resamples=1000),
    )


def clustered(random: np.random.Generator, clusters: int) -> tuple[Any, Any]:
    """Scores of mean 0.3 in clusters of 3 to 9 that share a part of their scores."""
    sizes = random.integers(3, 10, size=clusters)
    names = np.repeat(np.arange(clusters), sizes)
    return 0.3 + random.normal(0, 1, clusters)[names] + random.normal(
        0, 1, len(names)
    ), names


def passes(random: np.random.Generator, clusters: int) -> tuple[Any, Any]:
    """Passes at a rate of 0.6 in clusters of six that share their rate."""
    names = np.repeat(np.arange(clusters), 6)
    return (random.random(len(names)) < random.beta(1.2, 0.8, clusters)[names]).astype(
        float
    ), names


@pytest.mark.parametrize(("truth", "draw"), [(0.3, clustered), (0.6, passes)])
@pytest.mark.parametrize(("method", "clusters"), [("auto", 50), ("bootstrap", 100)])
def test_clustered_intervals_cover_clustered_scores(
    truth: float, draw: Any, method: Any, clusters: int
) -> None:
    """Also where the clusters differ in size, and for scores of 0 and 1."""

    def simulate(random: np.random.Generator) -> Interval:
        scores, names = draw(random, clusters)
        return mean_interval(scores, method=method, clusters=names, resamples=1000)

    covers(truth, simulate)


@pytest.mark.parametrize(("truth", "draw"), [(0.3, clustered), (0.6, passes)])
def test_intervals_that_ignore_clusters_do_not(truth: float, draw: Any) -> None:
    """Negative control: scores taken as independent, which they are not, have intervals
    that are far too short.
    """
    assert coverage(truth, lambda random: mean_interval(draw(random, 50)[0])) < 0.85


_SAMPLES, _K = 8, 3


def passing(random: np.random.Generator) -> Any:
    """How many samples of each of 150 cases pass; the cases' rates are drawn from
    Beta(0.6, 1).
    """
    return random.binomial(_SAMPLES, random.beta(0.6, 1, size=150))


@pytest.mark.parametrize("method", ["auto", "bootstrap"])
@pytest.mark.parametrize(
    ("estimate", "truth"),
    [
        (pass_at_k, 1 - beta(0.6, 1 + _K) / beta(0.6, 1)),
        (all_pass, beta(0.6 + _K, 1) / beta(0.6, 1)),
    ],
    ids=["pass@k", "pass^k"],
)
def test_intervals_over_cases_cover_pass_at_k(
    estimate: Any, truth: float, method: Any
) -> None:
    """The mean of the cases' unbiased estimates, with the interval of that mean."""
    of_count = np.array([estimate(_SAMPLES, c, _K) for c in range(_SAMPLES + 1)])

    covers(
        truth,
        lambda random: mean_interval(
            of_count[passing(random)], method=method, resamples=1000
        ),
    )


def test_average_within_the_case_covers() -> None:
    """Several samples of a case are averaged first; the error is over cases."""
    covers(0.375, lambda random: mean_interval(passing(random) / _SAMPLES))


def test_samples_pooled_over_cases_do_not() -> None:
    """Negative control: samples taken for cases of their own have intervals that are
    far too short.
    """

    def pooled(random: np.random.Generator) -> Interval:
        count = int(passing(random).sum())
        return mean_interval(np.repeat([1.0, 0.0], [count, 150 * _SAMPLES - count]))

    assert coverage(0.375, pooled) < 0.8
