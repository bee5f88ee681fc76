"""Paired differences against published values, scipy and statsmodels, and simulations
of what they promise.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar

from themis_lib.stats.paired import (
    BONETT_PRICE,
    bonett_price_interval,
    mcnemar_exact,
    paired_difference,
    sign_flip,
)

#: Numbers whose sums have no rounding, which scipy takes for a difference.
EIGHTHS = st.integers(-40, 40).map(lambda number: number / 8)
FLOATS = st.floats(-5, 5, allow_subnormal=False).map(lambda value: round(value, 3))


def pairs(table: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of 0 and 1 in two runs from McNemar's table: rows are the first run, right
    answers first.
    """
    counts = np.array(table).ravel()
    return np.repeat([1.0, 1.0, 0.0, 0.0], counts), np.repeat(
        [1.0, 0.0, 1.0, 0.0], counts
    )


def test_mcnemar_is_as_published() -> None:
    """Agresti's approval ratings, 86 against 150 of 1,600, have their exact p-value and
    their difference.
    """
    paired = paired_difference(*pairs([[794, 86], [150, 570]]))

    assert "3.7159e-05" == f"{paired.p_value:.4e}"
    assert (1600, 150, 86, 1364) == (
        paired.n,
        paired.improved,
        paired.worsened,
        paired.tied,
    )
    assert ("McNemar, exact", BONETT_PRICE, 0.04) == (
        paired.test,
        paired.interval_method,
        paired.difference,
    )
    assert paired.low < 0.04 < paired.high


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_statsmodels(improved: int, worsened: int) -> None:
    """The p-value is statsmodels' exact one."""
    expected = mcnemar([[5, worsened], [improved, 5]], exact=True).pvalue

    assert expected == pytest.approx(mcnemar_exact(improved, worsened), rel=1e-12)


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_mcnemar_agrees_with_scipy(improved: int, worsened: int) -> None:
    """The p-value is that of the binomial test, for many pairs too."""
    expected = scipy.stats.binomtest(improved, improved + worsened or 1).pvalue

    assert expected == pytest.approx(mcnemar_exact(improved, worsened), rel=1e-12)


@given(st.lists(EIGHTHS, min_size=2, max_size=12))
def test_all_sign_flips_agree_with_scipy(values: list[float]) -> None:
    """Where all signs are tried, the p-value is that of
    `scipy.stats.permutation_test`.
    """
    sums = np.array(values)
    expected = scipy.stats.permutation_test(
        (sums,),
        lambda x, axis: x.sum(axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue

    name, p_value = sign_flip(sums)

    assert "sign flips, exact" == name
    assert expected == pytest.approx(p_value)


@pytest.mark.parametrize("kind", ["all different", "few values", "both"])
def test_drawn_sign_flips_agree_with_scipy(kind: str) -> None:
    """Where signs are drawn, the p-value is scipy's but for the luck of the draw, and
    the same each time.
    """
    random = np.random.default_rng(3)
    sums = (
        random.normal(0.09, 1, 300)
        if kind == "all different"
        else random.integers(-3, 4, 300) / 3 + 0.06
    )
    sums = np.append(sums, [7.25, -0.125]) if kind == "both" else sums
    expected = scipy.stats.permutation_test(
        (sums,),
        lambda x, axis: x.sum(axis),
        permutation_type="samples",
        n_resamples=50_000,
        vectorized=True,
        rng=0,
        batch=5_000,
    ).pvalue

    found = sign_flip(sums, resamples=50_000)

    assert found == sign_flip(sums, resamples=50_000)
    assert "sign flips, drawn" == found[0]
    assert expected == pytest.approx(found[1], abs=0.01)
    assert 0.005 < expected < 0.9


def test_pairs_that_do_not_differ_change_nothing() -> None:
    """Ties are pairs whose sign does not matter, and without any other the p-value is
    1.
    """
    assert sign_flip(np.array([1.0, 2.0, 4.0])) == sign_flip(
        np.array([0.0, 1.0, 2.0, 0.0, 4.0])
    )
    assert ("sign flips, exact", 1.0) == sign_flip(np.zeros(5))


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=3, max_size=60))
def test_interval_of_other_scores_is_the_paired_t_test_s(
    values: list[tuple[float, float]],
) -> None:
    """Error and interval are those of `scipy.stats.ttest_rel`."""
    before, after = np.array([*values, (0.5, 0.25), (0.25, 0.75)]).T
    expected = scipy.stats.ttest_rel(after, before).confidence_interval(0.95)

    paired = paired_difference(before, after, resamples=99)

    assert "t" == paired.interval_method
    assert scipy.stats.sem(after - before) == pytest.approx(paired.standard_error)
    assert tuple(expected) == pytest.approx((paired.low, paired.high))


@given(st.lists(st.tuples(FLOATS, st.integers(0, 5)), min_size=8, max_size=60))
def test_clustered_error_agrees_with_statsmodels(
    values: list[tuple[float, int]],
) -> None:
    """With clusters the error is that of statsmodels' cluster-robust regression on a
    constant, G / (G − 1) and all.
    """
    differences, clusters = np.array([*values, (0.5, 6), (-0.25, 7)]).T
    fit = OLS(differences, np.ones(len(differences))).fit(
        cov_type="cluster",
        cov_kwds={
            "groups": clusters.astype(int),
            "df_correction": True,
            "use_correction": True,
        },
    )
    n = len(differences)

    paired = paired_difference(
        np.zeros(n), differences, clusters=clusters.astype(np.int64), resamples=99
    )

    assert ("cluster t", len(set(clusters))) == (paired.interval_method, paired.units)
    # statsmodels also multiplies by (n − 1) / (n − k), which is 1 for a constant.
    assert fit.bse[0] == pytest.approx(paired.standard_error, abs=1e-9)


def test_clusters_of_one_are_no_clusters() -> None:
    """With each pair a cluster by itself, error, interval and p-value are those without
    clusters.
    """
    random = np.random.default_rng(0)
    before, after = random.normal(size=(2, 14))

    alone = paired_difference(before, after)
    clustered = paired_difference(before, after, clusters=np.arange(14))

    assert (
        alone.standard_error,
        alone.low,
        alone.high,
        alone.p_value,
    ) == pytest.approx(
        (clustered.standard_error, clustered.low, clustered.high, clustered.p_value)
    )


def test_flips_within_a_cluster_go_together() -> None:
    """Twenty pairs that rise in three clusters are three coins and not twenty."""
    paired = paired_difference(np.zeros(20), np.ones(20), clusters=np.arange(20) % 3)

    assert ("sign flips, exact, by cluster", 0.25, 3) == (
        paired.test,
        paired.p_value,
        paired.units,
    )


def test_no_pair_and_one_pair() -> None:
    """Without pairs there are no numbers; one pair has a difference, and an interval
    only as a proportion.
    """
    none = paired_difference(np.array([]), np.array([]))
    one = paired_difference(np.array([0.25]), np.array([0.5]))
    whole = paired_difference(np.array([0.0]), np.array([1.0]))

    assert (0, None, None, None, None) == (
        none.n,
        none.difference,
        none.low,
        none.p_value,
        none.test,
    )
    assert (0.25, None, None, None, 1.0) == (
        one.difference,
        one.standard_error,
        one.low,
        one.high,
        one.p_value,
    )
    assert (1.0, 1.0) == (whole.difference, whole.p_value)
    assert whole.low < 0 < whole.high == 1.0


def test_equal_runs_have_an_interval_that_knows_how_little_was_seen() -> None:
    """Three 0/1 pairs that do not differ leave almost anything possible; a thousand
    leave little.
    """
    few, many = bonett_price_interval(0, 0, 3), bonett_price_interval(0, 0, 1_000)

    assert (-0.55, 0.55) == (round(few[0], 2), round(few[1], 2))
    assert (-0.0028, 0.0028) == (round(many[0], 4), round(many[1], 4))


@pytest.mark.parametrize(
    "scores", [np.array([0.0, 1.0] * 20), np.full(40, 0.5)], ids=["0/1", "other"]
)
def test_equal_scores_in_clusters_know_how_little_was_seen(scores: np.ndarray) -> None:
    """Where nothing differs each cluster counts as one pair: the interval is that of so
    many pairs, not of no width.
    """
    paired = paired_difference(scores, scores, clusters=np.arange(40) // 10)

    assert (0.0, 0.0, 1.0) == (paired.difference, paired.standard_error, paired.p_value)
    assert (*bonett_price_interval(0, 0, 4), "cluster bonett-price") == (
        paired.low,
        paired.high,
        paired.interval_method,
    )


def test_clusters_that_all_rise_count_as_pairs_that_rise() -> None:
    """Three clusters in which every case rises leave more open than a difference of
    exactly 1.
    """
    paired = paired_difference(np.zeros(30), np.ones(30), clusters=np.arange(30) // 10)

    assert bonett_price_interval(3, 0, 3) == (paired.low, paired.high)


@pytest.mark.parametrize(
    ("before", "after"),
    [([3.0, 4.0, 5.0], [3.0, 4.0, 5.0]), ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])],
    ids=["equal, of no known range", "moved by the same"],
)
def test_differences_that_do_not_vary_have_no_interval(
    before: list[float], after: list[float]
) -> None:
    """What never varied says nothing about what the next case may do."""
    paired = paired_difference(np.array(before), np.array(after))

    assert (None, None, None) == (paired.low, paired.high, paired.interval_method)


def test_drawn_signs_need_little_memory() -> None:
    """Many sizes that two pairs share each are drawn in blocks, not all at once."""
    sums = np.repeat(np.random.default_rng(0).normal(size=5_000), 2)
    tracemalloc.start()

    sign_flip(sums, resamples=9_999)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_order_of_pairs_does_not_matter() -> None:
    """The same pairs in another order have the same digits."""
    random = np.random.default_rng(1)
    before, after = random.normal(size=(2, 500))
    order = random.permutation(500)

    assert paired_difference(before, after) == paired_difference(
        before[order], after[order]
    )


def binary(
    random: np.random.Generator, n: int, up: float, down: float
) -> tuple[np.ndarray, np.ndarray]:
    """0/1 scores that go up, down, or stay where they are."""
    change = random.choice([1.0, -1.0, 0.0], size=n, p=[up, down, 1 - up - down])
    before = np.where(
        change > 0, 0.0, np.where(change < 0, 1.0, random.integers(0, 2, n))
    )
    return before, before + change


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "up", "down"),
    [(30, 0.2, 0.2), (100, 0.1, 0.05), (300, 0.02, 0.02), (1000, 0.4, 0.3)],
)
def test_interval_of_0_1_scores_covers_as_often_as_it_says(
    n: int, up: float, down: float
) -> None:
    """The interval at 95 % holds the true difference in 93 to 97 of 100 simulations."""
    random, repetitions = np.random.default_rng(0), 4_000

    covered = 0
    for _ in range(repetitions):
        rose, fell, _ = random.multinomial(n, [up, down, 1 - up - down])
        low, high = bonett_price_interval(int(rose), int(fell), n)
        covered += low <= up - down <= high

    assert 0.93 <= covered / repetitions <= 0.97


def clustered(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Differences around 0.1 in 40 clusters of 5, of which half the variance is the
    clusters' own.
    """
    clusters = np.repeat(np.arange(40), 5)
    return 0.1 + random.normal(size=40)[clusters] + random.normal(size=200), clusters


@pytest.mark.slow
def test_interval_of_other_scores_covers_as_often_as_it_says() -> None:
    """Skewed differences, and clustered ones with their clusters, are covered;
    clustered ones without them are not.
    """
    random, repetitions = np.random.default_rng(0), 2_000
    covered = {"t": 0, "clustered": 0, "clusters ignored": 0}
    for _ in range(repetitions):
        skewed = random.gamma(2.0, 0.1, size=80)
        differences, clusters = clustered(random)
        found = {
            "t": (paired_difference(np.zeros(80), skewed, resamples=9), 0.2),
            "clustered": (
                paired_difference(
                    np.zeros(200), differences, clusters=clusters, resamples=9
                ),
                0.1,
            ),
            "clusters ignored": (
                paired_difference(np.zeros(200), differences, resamples=9),
                0.1,
            ),
        }
        for name, (paired, truth) in found.items():
            covered[name] += paired.low <= truth <= paired.high

    assert 0.93 <= covered["t"] / repetitions <= 0.97
    assert 0.93 <= covered["clustered"] / repetitions <= 0.97
    assert covered["clusters ignored"] / repetitions < 0.85


@pytest.mark.slow
def test_tests_hold_their_level() -> None:
    """Where nothing is different, a p-value below 5 % is as rare as that; clusters that
    are ignored break it.
    """
    random, repetitions = np.random.default_rng(0), 2_000
    found = {"McNemar": 0, "sign flips": 0, "by cluster": 0, "clusters ignored": 0}
    for _ in range(repetitions):
        found["McNemar"] += (
            paired_difference(*binary(random, 200, 0.15, 0.15)).p_value < 0.05
        )
        noise = random.standard_t(3, size=60)
        found["sign flips"] += (
            paired_difference(np.zeros(60), noise, resamples=999).p_value < 0.05
        )
        differences, clusters = clustered(random)
        flat = differences - 0.1
        zeros = np.zeros(200)
        found["by cluster"] += (
            paired_difference(zeros, flat, clusters=clusters, resamples=999).p_value
            < 0.05
        )
        found["clusters ignored"] += (
            paired_difference(zeros, flat, resamples=999).p_value < 0.05
        )

    assert (
        0.02 <= found["McNemar"] / repetitions <= 0.05
    )  # exact: never above, and below because counts are whole
    assert 0.04 <= found["sign flips"] / repetitions <= 0.06
    assert 0.04 <= found["by cluster"] / repetitions <= 0.06
    assert found["clusters ignored"] / repetitions > 0.15
