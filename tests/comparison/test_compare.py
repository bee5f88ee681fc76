"""Comparison of runs: which cases are paired, what is counted, and what it says."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.support.compared_runs import StatedScore, case, run_of, scored
from themis_lib import ConfigError, InMemoryRunStore, compare
from themis_lib.stats.paired import paired_difference

RISES = [0.0] * 12 + [1.0] * 8
HIGHER = [1.0] * 12 + [1.0] * 8


def test_difference_is_candidate_minus_baseline() -> None:
    """Twelve of twenty cases rise: means, counts, exact p-value and conclusion say
    so.
    """
    store = InMemoryRunStore()

    comparison = compare(run_of(store, scored(RISES)), run_of(store, scored(HIGHER)))

    (item,) = comparison.differences
    assert (20, 0.4, 1.0, 0.6) == (
        item.n,
        item.baseline_mean,
        item.candidate_mean,
        item.difference,
    )
    assert (12, 0, 8) == (item.improved, item.worsened, item.tied)
    assert 2 / 2**12 == item.p_value == item.p_adjusted
    assert "better" == item.conclusion
    assert {f"q{at}" for at in range(12)} == {flip.case_id for flip in comparison.flips}


def test_swapped_runs_swap_the_sign() -> None:
    """The other way round every number has the other sign, and better is worse."""
    store = InMemoryRunStore()
    low, high = run_of(store, scored(RISES)), run_of(store, scored(HIGHER))

    (up,) = compare(low, high).differences
    (down,) = compare(high, low).differences

    assert (-up.difference, -up.high, -up.low) == pytest.approx(
        (down.difference, down.low, down.high)
    )
    assert (up.improved, up.p_value, up.detectable) == (
        down.worsened,
        down.p_value,
        down.detectable,
    )
    assert ("better", "worse") == (up.conclusion, down.conclusion)


def test_order_of_cases_changes_no_digit() -> None:
    """A candidate whose cases come in another order compares the same."""
    store, draw = InMemoryRunStore(), random.Random(0)
    before, after = (
        scored([draw.random() for _ in range(40)]),
        scored([draw.random() for _ in range(40)]),
    )
    baseline = run_of(store, before)
    straight = compare(baseline, run_of(store, after))
    draw.shuffle(after)

    shuffled = compare(baseline, run_of(store, after))

    assert [
        item.model_copy(update={"run_id": ""}) for item in straight.differences
    ] == [item.model_copy(update={"run_id": ""}) for item in shuffled.differences]


def test_samples_are_averaged_before_cases_are_compared() -> None:
    """With three samples a case its score is their mean, and n is the number of
    cases.
    """
    store = InMemoryRunStore()
    before = scored([[0, 0, 1], [1, 1, 1], [0, 0, 0]])
    after = scored([[1, 1, 1], [1, 1, 0], [0, 0, 0]])

    (item,) = compare(run_of(store, before), run_of(store, after)).differences

    assert (3, "t") == (item.n, item.interval_method)
    assert pytest.approx(1 / 9) == item.difference
    assert (1, 1, 1) == (item.improved, item.worsened, item.tied)


def test_slices_are_compared_beside_the_whole() -> None:
    """Each value of a metadata column, missing ones as null, has a difference; Holm
    counts the slices together, and the whole by itself.
    """
    store = InMemoryRunStore()
    before = [case(f"q{at}", 0, topic="x" if at % 2 else "y") for at in range(20)] + [
        case("z", 0)
    ]
    after = [
        item.model_copy(update={"metadata": {**item.metadata, "scores": [1]}})
        for item in before[:20]
    ]

    comparison = compare(
        run_of(store, before), run_of(store, [*after, case("z", 1)]), slices=["topic"]
    )

    rows = {item.slice: item for item in comparison.differences}
    assert ["all", "topic=null", "topic=x", "topic=y"] == list(rows)
    assert [21, 1, 10, 10] == [item.n for item in rows.values()]
    p = [item.p_value for item in rows.values()]
    assert [p[0], p[1], 3 * p[2], 3 * p[3]] == pytest.approx(
        [item.p_adjusted for item in rows.values()]
    )


def test_clusters_are_counted_and_widen_the_interval() -> None:
    """Cases of one cluster that move together are one piece of evidence; cases without
    a cluster stand alone.
    """
    store = InMemoryRunStore()
    moves = np.random.default_rng(0).choice([-1.0, 1.0], size=10).repeat(4)
    before = [case(f"q{at}", 0.0) for at in range(41)]
    after = [case(f"q{at}", moves[at], text=f"t{at // 4}") for at in range(40)] + [
        case("q40", 0.5)
    ]
    baseline, candidate = run_of(store, before), run_of(store, after)

    (alone,) = compare(baseline, candidate).differences
    (together,) = compare(baseline, candidate, cluster_by="text").differences

    assert (None, 11) == (alone.clusters, together.clusters)
    assert alone.difference == together.difference
    assert together.high - together.low > 1.8 * (alone.high - alone.low)
    assert together.detectable > 1.8 * alone.detectable
    assert together.cases_needed > 3 * alone.cases_needed


def test_clusters_are_those_of_the_run_s_statistics() -> None:
    """Where a run's summary takes clusters into account its comparison does too, unless
    another column is asked for.
    """
    store = InMemoryRunStore()
    cases = [
        case(f"q{at}", at % 3 / 2, text=f"t{at // 4}", topic=f"{at % 2}")
        for at in range(40)
    ]
    baseline, candidate = (
        run_of(store, scored([0.5] * 40)),
        run_of(store, cases, statistics={"cluster_by": "text"}),
    )

    usual, asked = (
        compare(baseline, candidate),
        compare(baseline, candidate, cluster_by="topic"),
    )

    assert [("text", 10), ("topic", 2)] == [
        (item.cluster_by, item.differences[0].clusters) for item in (usual, asked)
    ]


def test_several_datasets_metrics_and_candidates() -> None:
    """Every candidate has a difference for each dataset and metric that it shares with
    the baseline.
    """
    store = InMemoryRunStore()
    metrics = {"m": StatedScore(), "half": StatedScore(0.5)}
    low = {"one": scored([0] * 10), "two": scored([0] * 10)}
    high = {"one": scored([1] * 10), "two": scored([0] * 10)}
    baseline = run_of(store, low, metrics=metrics)
    candidates = [
        run_of(store, high, metrics=metrics),
        run_of(store, {"one": scored([1] * 10)}),
    ]

    comparison = compare(baseline, *candidates)

    names = [
        (item.run_id == candidates[0].run_id, item.dataset_id, item.metric_id)
        for item in comparison.differences
    ]
    assert [
        (True, "one", "m"),
        (True, "one", "half"),
        (True, "two", "m"),
        (True, "two", "half"),
        (False, "one", "m"),
    ] == names
    p = 2 / 2**10
    assert [5 * p, 5 * p, 1.0, 1.0, 5 * p] == pytest.approx(
        [item.p_adjusted for item in comparison.differences]
    )
    assert ["better", "better", "same", "same", "better"] == [
        item.conclusion for item in comparison.differences
    ]
    assert [("two", 10, 0)] == [
        (item.dataset_id, len(item.only_in_baseline), len(item.only_in_candidate))
        for item in comparison.unmatched
    ]


def test_other_scores_are_compared_as_the_statistics_say() -> None:
    """Scores that are not all 0 or 1 have the numbers of `paired_difference`."""
    store, draw = InMemoryRunStore(), np.random.default_rng(0)
    before, after = draw.random((2, 30))
    expected = paired_difference(before, after)

    (item,) = compare(
        run_of(store, scored(before.tolist())), run_of(store, scored(after.tolist()))
    ).differences

    assert (
        expected.difference,
        expected.low,
        expected.high,
        expected.p_value,
        expected.test,
    ) == (
        item.difference,
        item.low,
        item.high,
        item.p_value,
        item.test,
    )


REFUSED = {
    "alone": (
        lambda store: compare(run_of(store, scored([1]))),
        "name at least one more run",
    ),
    "nothing in common": (
        lambda store: compare(
            run_of(store, {"a": scored([1])}), run_of(store, {"b": scored([1])})
        ),
        "no case in common, of datasets 'a' and 'b'",
    ),
    "no metric in common": (
        lambda store: compare(
            run_of(store, scored([1])),
            run_of(store, scored([1]), metrics={"mm": StatedScore()}),
        ),
        "no 'mm'; did you mean 'm'?",
    ),
    "no scores": (
        lambda store: compare(
            run_of(store, scored([1])), run_of(store, scored([1]), until_stage="parse")
        ),
        "it went until 'parse'",
    ),
    "unknown slice": (
        lambda store: compare(
            run_of(store, scored([1])),
            run_of(store, scored([1], topic="a")),
            slices=["topik"],
        ),
        "no case has metadata 'topik'; did you mean 'topic'?",
    ),
    "unknown cluster": (
        lambda store: compare(
            run_of(store, scored([1])), run_of(store, scored([1])), cluster_by="text"
        ),
        "no case has metadata 'text'",
    ),
    "clusters of two kinds": (
        lambda store: compare(
            run_of(store, scored([1, 0], a="x", b="y")),
            *(
                run_of(
                    store, scored([1, 0], a="x", b="y"), statistics={"cluster_by": name}
                )
                for name in "ab"
            ),
        ),
        "by 'a' and 'b'; say by which",
    ),
    "no delta": (
        lambda store: compare(
            run_of(store, scored([1])), run_of(store, scored([1])), delta=0
        ),
        "give a difference above 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_refused(name: str) -> None:
    """What makes no comparison is one error that says why."""
    attempt, expected = REFUSED[name]

    with pytest.raises(ConfigError) as refusal:
        attempt(InMemoryRunStore())

    assert expected in str(refusal.value)


def test_a_run_is_not_compared_with_itself() -> None:
    """The same run twice is a slip, not a comparison."""
    run = run_of(InMemoryRunStore(), scored([1]))

    with pytest.raises(ConfigError, match="named twice"):
        compare(run, run)
