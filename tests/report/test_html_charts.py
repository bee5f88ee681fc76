"""Axes and bins hold what they are to show."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.report.html_charts import axis_over, bins_of

FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


@given(st.lists(FINITE, min_size=1))
def test_an_axis_holds_its_values(values: list[float]) -> None:
    """No value lies beyond the ends, and ticks rise from end to end."""
    axis = axis_over(values)

    assert axis.low <= min(values) <= max(values) <= axis.high
    assert (axis.low, axis.high) == (axis.ticks[0], axis.ticks[-1])
    assert sorted(set(axis.ticks)) == list(axis.ticks)
    assert 2 <= len(axis.ticks) <= 8


@given(st.lists(FINITE))
def test_zero_is_in_the_middle_of_differences(values: list[float]) -> None:
    """An axis of differences reaches as far to the left as to the right, and has a tick
    at zero.
    """
    axis = axis_over(values, around=0.0)

    assert 50.0 == axis.at(0.0)
    assert 0.0 in axis.ticks
    assert max(map(abs, values), default=0.0) <= axis.high


@given(st.lists(st.one_of(FINITE, st.just(float("nan")))))
def test_every_score_is_in_one_bin(values: list[float]) -> None:
    """Counts add up to the scores there are; a case without a score is in none."""
    scores = np.array(values, dtype=np.float64)

    assert int((~np.isnan(scores)).sum()) == sum(bins_of(scores).count(scores))


def test_scores_of_0_and_1_have_both_bars() -> None:
    """Also where all scores are alike."""
    assert [3, 0] == bins_of(np.zeros(3)).count(np.zeros(3))


def test_many_different_scores_make_a_histogram() -> None:
    """From 0 to 1 in twenty bins, the last of which holds 1."""
    scores = np.linspace(0, 1, 101)
    bins = bins_of(scores)

    assert (20, False) == (len(bins.ranges), bins.are_levels)
    assert [5] * 19 + [6] == bins.count(scores)


def test_no_scores_have_no_bins() -> None:
    """A metric that failed on every case."""
    nothing = np.array([np.nan, np.nan])

    assert [] == bins_of(nothing).count(nothing)
