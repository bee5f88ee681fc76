"""The split of variance against analysis of variance and known components."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from themis_lib.stats.variance import VarianceSplit, sample_moments, variance_split

NONE = math.nan


@given(
    st.integers(2, 5).flatmap(
        lambda samples: st.lists(
            st.lists(
                st.integers(0, 8).map(lambda value: value / 8),
                min_size=samples,
                max_size=samples,
            ),
            min_size=2,
            max_size=20,
        )
    )
)
def test_split_is_that_of_analysis_of_variance(rows: list[list[float]]) -> None:
    """Where cases have equally many samples: within is the mean square within, F that
    of scipy.
    """
    scores = np.array(rows)
    within = scores.var(axis=1, ddof=1).mean()
    assume(within > 0)

    split = variance_split(sample_moments(scores))

    f = scipy.stats.f_oneway(*scores).statistic
    assert within == pytest.approx(split.within)
    assert max((f - 1) * within / scores.shape[1], 0) == pytest.approx(
        split.between, abs=1e-12
    )


def test_samples_without_a_score_are_left_out() -> None:
    """Components 1 and 4 come out also where a third of the samples, at random, has no
    score.
    """
    random = np.random.default_rng(0)
    scores = random.normal(0, 1, (20_000, 1)) + random.normal(0, 2, (20_000, 5))
    scores[random.random(scores.shape) < 1 / 3] = NONE

    split = variance_split(sample_moments(scores))

    assert (1.0, 4.0) == (
        pytest.approx(split.between, rel=0.06),
        pytest.approx(split.within, rel=0.03),
    )


def test_order_of_samples_does_not_matter() -> None:
    """To the last bit, and wherever the missing ones stand."""
    scores = np.array([[0.1, 0.2, NONE, 0.7], [0.3, NONE, NONE, 0.9]])

    assert sample_moments(scores).tobytes() == sample_moments(scores[:, ::-1]).tobytes()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[0.5], [0.7]], VarianceSplit(None, None)),
        ([[NONE, NONE]], VarianceSplit(None, None)),
        ([[1.0, NONE], [0.0, NONE]], VarianceSplit(None, None)),
        ([[0.0, 1.0]], VarianceSplit(None, 0.5)),
        ([[0.0, 1.0], [NONE, NONE]], VarianceSplit(None, 0.5)),
        ([[0.0, 1.0], [1.0, 0.0]], VarianceSplit(0.0, 0.5)),
        ([[1.0, 1.0], [0.0, 0.0]], VarianceSplit(0.5, 0.0)),
    ],
    ids=[
        "one sample",
        "no score",
        "one score each",
        "one case",
        "one case with scores",
        "samples alone",
        "cases alone",
    ],
)
def test_what_cannot_be_told_apart_is_null(
    scores: list[list[float]], expected: VarianceSplit
) -> None:
    """Within takes two samples of a case, between besides two cases; an estimate below
    0 is 0.
    """
    assert expected == variance_split(sample_moments(np.array(scores)))
