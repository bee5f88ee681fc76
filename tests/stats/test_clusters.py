"""Cluster-robust errors against published values and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS

from themis_lib.stats.clusters import cluster_totals, clustered_error
from themis_lib.stats.intervals import Interval, mean_interval, wilson_interval

#: Ten scores, in order, in clusters of two.
SCORES = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 1], dtype=np.float64)
PAIRS = np.repeat(np.arange(5), 2)

grades = st.lists(
    st.tuples(
        st.floats(-10, 10, allow_subnormal=False).map(lambda value: round(value, 3)),
        st.integers(0, 7),
    ),
    min_size=3,
    max_size=60,
)


def test_published_values() -> None:
    """Clusters of two have a smaller error here than independent scores, since their
    scores differ within.
    """
    assert (0.122474, 0.152753) == (
        round(clustered_error(SCORES, PAIRS) or 0, 6),
        round(mean_interval(SCORES).standard_error or 0, 6),
    )


@given(grades)
def test_error_and_interval_are_those_of_statsmodels(
    graded: list[tuple[float, int]],
) -> None:
    """The mean is the constant of a regression with errors clustered, and its t has G-1
    degrees of freedom.
    """
    scores, clusters = (
        np.array([score for score, _ in graded]),
        np.array([cluster for _, cluster in graded]),
    )
    assume(len(set(clusters.tolist())) > 1)
    assume(np.ptp(scores) > 0.01)
    model = OLS(scores, np.ones(len(scores)))
    fit = model.fit(
        cov_type="cluster",
        cov_kwds={"groups": clusters, "df_correction": True},
        use_t=True,
    )
    assume(fit.bse[0] > 1e-9)  # else there is no interval

    interval = mean_interval(scores, method="t", clusters=clusters)

    assert len(set(clusters.tolist())) == interval.clusters
    assert "cluster t" == interval.method
    assert fit.bse[0] == pytest.approx(interval.standard_error, abs=1e-9)
    assert fit.conf_int()[0].tolist() == pytest.approx(
        [interval.low, interval.high], abs=1e-6
    )


@given(grades)
def test_clusters_of_one_are_independent_scores(
    graded: list[tuple[float, int]],
) -> None:
    """Where every case is a cluster of its own, clustering changes nothing."""
    scores = np.array([score for score, _ in graded])

    interval = mean_interval(scores, method="t", clusters=np.arange(len(scores)))

    alone = mean_interval(scores, method="t")
    assert alone.standard_error == pytest.approx(interval.standard_error, abs=1e-12)
    assert (alone.low, alone.high) == pytest.approx(
        (interval.low, interval.high), abs=1e-9
    )


@given(grades, st.randoms(use_true_random=False))
def test_order_and_names_do_not_matter(
    graded: list[tuple[float, int]], random: object
) -> None:
    """To the last bit: scores in another order are the same, and so are clusters under
    names that keep their order.
    """
    shuffled = list(graded)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def interval(rows: list[tuple[float, int]], name: str) -> Interval:
        return mean_interval(
            np.array([score for score, _ in rows]),
            clusters=np.array([f"{name}{cluster}" for _, cluster in rows]),
        )

    assert interval(graded, "a") == interval(shuffled, "text ")


def test_totals_are_by_cluster() -> None:
    """Sums and sizes stand in the order of the clusters' names."""
    sums, sizes = cluster_totals(np.array([1.0, 2.0, 4.0]), np.array(["b", "a", "b"]))

    assert ([2.0, 5.0], [1.0, 2.0]) == (sums.tolist(), sizes.tolist())


def test_scores_of_0_and_1_have_the_clustered_t() -> None:
    """Wilson's interval takes scores as independent: in clusters they have Student's,
    with clusters less one.
    """
    interval = mean_interval(SCORES, clusters=PAIRS)

    reach = scipy.stats.t.ppf(0.975, 4) * clustered_error(SCORES, PAIRS)
    assert ("cluster t", 5) == (interval.method, interval.clusters)
    assert (0.7 - reach, 0.7 + reach) == pytest.approx((interval.low, interval.high))


def test_passes_alone_count_once_a_cluster() -> None:
    """Scores that are all 1 have no error to see; their interval is that of as many
    trials as clusters.
    """
    interval = mean_interval(np.ones(10), clusters=PAIRS)

    assert ("cluster wilson", 0.0) == (interval.method, interval.standard_error)
    assert wilson_interval(5, 5) == (interval.low, interval.high)


@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_one_cluster_has_no_interval(method: str) -> None:
    """One cluster is one observation, whatever its size."""
    interval = mean_interval(
        np.array([0.2, 0.4, 0.9]), method=method, clusters=np.zeros(3)
    )

    assert Interval(pytest.approx(0.5), None, None, None, None, 1) == interval


def test_no_scores_are_no_clusters() -> None:
    """An empty group has clusters, of which there are none."""
    assert Interval(None, None, None, None, None, 0) == mean_interval(
        np.array([]), clusters=np.array([])
    )
    assert clustered_error(np.array([]), np.array([])) is None


def test_clusters_with_one_mean_have_no_interval() -> None:
    """Two clusters that are each right half the time do not make the mean certain."""
    interval = mean_interval(
        np.array([1.0, 0.0, 0.0, 1.0]), clusters=np.array([0, 0, 1, 1])
    )

    assert Interval(0.5, 0.0, None, None, None, 2) == interval


def test_wilson_refuses_clusters() -> None:
    """A method that takes scores as independent is not given clusters in silence."""
    with pytest.raises(ValueError, match="independent"):
        mean_interval(SCORES, method="wilson", clusters=PAIRS)
