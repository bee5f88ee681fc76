"""Conclusions: what is better, worse, the same, or more than the data can tell."""

from __future__ import annotations

import pytest

from tests.support.compared_runs import StatedScore, run_of, scored
from themis_lib import InMemoryRunStore, compare
from themis_lib.comparison.conclusions import conclusion_of, with_conclusions


def test_a_significant_difference_within_delta_is_still_one() -> None:
    """`delta` says what matters; it does not turn a sure fall into none."""
    store = InMemoryRunStore()
    runs = run_of(store, scored([1] * 200)), run_of(store, scored([0] * 9 + [1] * 191))
    (item,) = compare(*runs).differences

    assert "worse" == conclusion_of(item, p_adjusted=0.01, delta=0.5)
    assert "same" == conclusion_of(item, p_adjusted=0.06, delta=0.5)
    assert "cannot tell" == conclusion_of(item, p_adjusted=None, delta=None)


def test_a_fall_is_better_where_lower_is_better() -> None:
    """A metric that counts errors says so, and its verdicts are turned round."""
    store = InMemoryRunStore()
    metrics = {"errors": StatedScore(-1)}
    more = run_of(store, scored([0] * 10), metrics=metrics)
    fewer = run_of(store, scored([1] * 10), metrics=metrics)

    (fall,) = compare(more, fewer).differences
    (rise,) = compare(fewer, more).differences

    assert (-1.0, "better") == (fall.difference, fall.conclusion)
    assert (1.0, "worse") == (rise.difference, rise.conclusion)


def test_conclusions_go_by_holm_s_p_over_all_differences() -> None:
    """What is significant alone is not among many."""
    store = InMemoryRunStore()
    runs = run_of(store, scored([0] * 6)), run_of(store, scored([1] * 6))
    (item,) = compare(*runs).differences

    alone = with_conclusions([item], None)
    among_two = with_conclusions([item, item], None)

    assert ["better"] == [each.conclusion for each in alone]
    assert ["cannot tell"] * 2 == [each.conclusion for each in among_two]
    assert [2 * item.p_value] * 2 == [each.p_adjusted for each in among_two]


def test_cannot_tell_is_said_where_the_data_cannot() -> None:
    """A rise that chance explains has no conclusion, and it is said what these cases
    show and how many it takes.
    """
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([0] * 3 + [1] * 17)), run_of(store, scored([1] * 20))
    ).differences

    assert ("cannot tell", 0.15) == (item.conclusion, pytest.approx(item.difference))
    assert item.detectable > 0.15
    assert item.cases_needed > 20


def test_delta_makes_close_runs_the_same() -> None:
    """An interval within ± delta is called the same; without delta it cannot tell."""
    store = InMemoryRunStore()
    before, after = scored([0, 1] * 200), scored([1, 0] + [0, 1] * 199)
    runs = run_of(store, before), run_of(store, after)

    conclusions = [
        compare(*runs, delta=delta).differences[0].conclusion
        for delta in (None, 0.05, 0.001)
    ]

    assert ["cannot tell", "same", "cannot tell"] == conclusions
