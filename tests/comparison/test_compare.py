"""Comparison of runs: which cases are paired, what is counted, and what it says."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.support.compared_runs import StatedScore, case, run_of, scored
from themis_lib import ConfigError, InMemoryRunStore, RunStore, compare
from themis_lib.comparison.models import Unmatched
from themis_lib.errors import StoreError
from themis_lib.stats.paired import paired_difference

RISES = [0.0] * 12 + [1.0] * 8
HIGHER = [1.0] * 12 + [1.0] * 8


def test_difference_is_candidate_minus_baseline() -> None:
    """Twelve of twenty cases rise: means, counts, exact p-value and conclusion say so."""
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


def test_cases_are_matched_by_content() -> None:
    """Ids, order and metadata do not matter; dataset, input and expected output do."""
    store = InMemoryRunStore()
    before = [case("a", 0), case("b", 1), case("c", 0, expected="1"), case("d", 1)]
    after = [
        case("d", 0, case_id="x"),
        case("c", 1, expected="2"),
        case("a", 1, case_id="y"),
        case("e", 1),
    ]
    baseline, candidate = run_of(store, before), run_of(store, after)

    comparison = compare(baseline, candidate)

    assert 2 == comparison.differences[0].n
    assert [("a", "y", 0.0, 1.0), ("d", "x", 1.0, 0.0)] == [
        (
            flip.case_id,
            flip.candidate_case_id,
            flip.baseline_score,
            flip.candidate_score,
        )
        for flip in comparison.flips
    ]
    assert [
        Unmatched(
            run_id=candidate.run_id,
            dataset_id="d",
            only_in_baseline=["b", "c"],
            only_in_candidate=["c", "e"],
        )
    ] == comparison.unmatched


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


def test_duplicates_are_matched_in_order_and_left_over_where_there_are_more() -> None:
    """Of three equal cases against two, the first two pair up, and the third has no
    partner.
    """
    store = InMemoryRunStore()
    before = [
        case("a", 1, case_id="a1"),
        case("a", 0, case_id="a2"),
        case("a", 1, case_id="a3"),
    ]
    after = [case("a", 0, case_id="b1"), case("a", 1, case_id="b2")]

    comparison = compare(run_of(store, before), run_of(store, after))

    assert [("a1", "b1"), ("a2", "b2")] == [
        (flip.case_id, flip.candidate_case_id) for flip in comparison.flips
    ]
    assert [["a3"]] == [item.only_in_baseline for item in comparison.unmatched]
    assert [[]] == [item.only_in_candidate for item in comparison.unmatched]


def test_cases_without_a_score_are_counted_and_left_out() -> None:
    """A case counts in the means where both runs have a score; what either lacks is
    stated.
    """
    store = InMemoryRunStore()
    before, after = scored([1, None, 0, None, 1]), scored([0, 1, None, None, 1])

    (item,) = compare(run_of(store, before), run_of(store, after)).differences

    assert (2, 2, 2) == (item.n, item.baseline_errors, item.candidate_errors)
    assert (1.0, 0.5, -0.5) == (
        item.baseline_mean,
        item.candidate_mean,
        item.difference,
    )


def test_missing_scores_count_0_where_the_run_s_statistics_say_so() -> None:
    """Under `errors: zero` a comparison has the means of the summaries, and an answer
    lost to an error is a fall.
    """
    store, zero = InMemoryRunStore(), {"errors": "zero"}
    before, after = scored([1, 1, 0, None]), scored([1, None, None, 1])
    baseline, candidate = (
        run_of(store, before, statistics=zero),
        run_of(store, after, statistics=zero),
    )

    comparison = compare(baseline, candidate)

    (item,) = comparison.differences
    assert (4, 1, 2, "zero") == (
        item.n,
        item.baseline_errors,
        item.candidate_errors,
        item.error_policy,
    )
    assert (baseline.summary[0].mean, candidate.summary[0].mean) == (
        item.baseline_mean,
        item.candidate_mean,
    )
    assert (1, 1) == (item.improved, item.worsened)
    assert ["q1", "q3"] == [flip.case_id for flip in comparison.flips]


def test_missing_scores_leave_no_numbers_where_none_may_be_missing() -> None:
    """Under `errors: fail` the cases that have a score do not stand for all."""
    store, fail = InMemoryRunStore(), {"errors": "fail"}

    (item,) = compare(
        run_of(store, scored([1, 0])), run_of(store, scored([1, None]), statistics=fail)
    ).differences

    assert (0, 1, None, "cannot tell") == (
        item.n,
        item.candidate_errors,
        item.difference,
        item.conclusion,
    )


def test_run_without_a_single_score_says_nothing() -> None:
    """Where no pair has both scores there are no numbers, and the metric is not left
    out.
    """
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([1, 0])), run_of(store, scored([None, None]))
    ).differences

    assert (0, 0, 2) == (item.n, item.baseline_errors, item.candidate_errors)
    assert (None, None, None, "cannot tell") == (
        item.difference,
        item.p_value,
        item.detectable,
        item.conclusion,
    )


def test_samples_are_averaged_before_cases_are_compared() -> None:
    """With three samples a case its score is their mean, and n is the number of cases."""
    store = InMemoryRunStore()
    before = scored([[0, 0, 1], [1, 1, 1], [0, 0, 0]])
    after = scored([[1, 1, 1], [1, 1, 0], [0, 0, 0]])

    (item,) = compare(run_of(store, before), run_of(store, after)).differences

    assert (3, "t") == (item.n, item.interval_method)
    assert pytest.approx(1 / 9) == item.difference
    assert (1, 1, 1) == (item.improved, item.worsened, item.tied)


def test_different_numbers_of_samples_are_compared_case_by_case() -> None:
    """One sample against two is compared by the cases' scores."""
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([1, 0, 0])),
        run_of(store, scored([[1, 1], [1, 0], [0, 0]])),
    ).differences

    assert (3, pytest.approx(1 / 6), None) == (
        item.n,
        item.difference,
        item.samples_needed,
    )


def test_samples_that_would_settle_a_difference() -> None:
    """Where runs drew several samples, it is said how many would show a difference, or
    that none would.
    """
    store, draw = InMemoryRunStore(), np.random.default_rng(0)
    noisy = [scored(draw.normal(0.5, 1.0, size=(60, 4)).tolist()) for _ in range(2)]
    varied = [
        scored(
            (draw.normal(0, 2, size=(60, 1)) + draw.normal(0, 0.1, (60, 4))).tolist()
        )
        for _ in range(2)
    ]
    by_samples, by_cases = (
        compare(*(run_of(store, cases) for cases in pair), delta=0.2)
        for pair in (noisy, varied)
    )

    assert 4 < by_samples.differences[0].samples_needed < 20
    assert by_samples.differences[0].cases_needed > 60
    assert by_cases.differences[0].samples_needed is None
    assert by_cases.differences[0].cases_needed > 1_000


def test_samples_are_not_promised_where_the_score_is_not_their_mean() -> None:
    """Another reducer may not gain from samples; nothing is said of them."""
    store = InMemoryRunStore()
    before, after = (
        scored([[0, 1], [1, 0], [0, 0]] * 4),
        scored([[1, 1], [1, 1], [0, 0]] * 4),
    )
    for at, cases in enumerate((before, after)):
        for number, item in enumerate(cases):
            cases[number] = item.model_copy(
                update={"input": f"q{number}", "case_id": f"{at}-{number}"}
            )

    best = compare(
        *(
            run_of(store, cases, reducer="builtin/best_of_n")
            for cases in (before, after)
        )
    )

    assert best.differences[0].samples_needed is None


def test_slices_are_compared_beside_the_whole() -> None:
    """Each value of a metadata column, missing ones as null, has a difference, and Holm
    counts them all.
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
    assert [4 * p[0], p[1], 3 * p[2], 3 * p[3]] == pytest.approx(
        [item.p_adjusted for item in rows.values()]
    )


def test_slices_are_the_candidate_s() -> None:
    """Where the runs disagree about a column, the candidate's values count."""
    store = InMemoryRunStore()
    before = [case("a", 0, topic="old"), case("b", 0, topic="old")]
    after = [case("b", 1, topic="new"), case("a", 0, topic="other")]

    comparison = compare(run_of(store, before), run_of(store, after), slices=["topic"])

    rows = {item.slice: item.difference for item in comparison.differences}
    assert {"all": 0.5, "topic=new": 1.0, "topic=other": 0.0} == rows


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


def test_fewer_than_six_cases_show_nothing() -> None:
    """Five cases that all rise leave p above 5 %, and the power says that no difference
    could be shown.
    """
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([0] * 5)), run_of(store, scored([1] * 5))
    ).differences

    assert (0.0625, "cannot tell", None) == (
        item.p_value,
        item.conclusion,
        item.detectable,
    )


def test_detectable_is_never_what_the_exact_test_cannot_show() -> None:
    """With one flip in a hundred cases, fewer than six that differ could not have been
    significant.
    """
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([0] * 100)),
        run_of(store, scored([1] + [0] * 99)),
        delta=0.05,
    ).differences

    assert (0.06, 0.05) == (item.detectable, item.delta)
    assert item.cases_needed >= 6 / 0.05


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


def test_sides_have_size_tokens_and_latency() -> None:
    """The runs stand side by side, the baseline first, with what they took."""
    store = InMemoryRunStore()
    baseline, candidate = (
        run_of(store, scored([0, 1])),
        run_of(store, scored([1, 1, 1])),
    )

    comparison = compare(baseline, candidate)

    assert [baseline.run_id, candidate.run_id] == [
        side.run_id for side in comparison.runs
    ]
    assert [2, 3] == [side.cases for side in comparison.runs]
    assert [(20, 4), (30, 6)] == [
        (side.input_tokens, side.output_tokens) for side in comparison.runs
    ]
    assert comparison.baseline.latency_p50_s <= comparison.baseline.latency_p95_s
    assert comparison.baseline.cost is None


def test_identity_says_what_differs() -> None:
    """Settings that differ are lines with stage, path and both values; equal runs have
    none.
    """
    store = InMemoryRunStore()
    baseline = run_of(store, scored([0, 1]))
    metrics = {"m": StatedScore(), "other": StatedScore(2)}
    same, other = (
        run_of(store, scored([0, 1])),
        run_of(store, scored([[0, 0], [1, 1], [1, 1]]), model="m2", metrics=metrics),
    )

    identity = compare(baseline, same, other).identity

    assert [] == identity[same.run_id]
    lines = identity[other.run_id]
    assert "seeds: [0] → [0,1]" in lines
    assert "datasets.d: 2 → 3" in lines
    assert any(
        '"m1" → "m2"' in line and line.startswith("generate.generator")
        for line in lines
    )
    assert any(line.startswith("score[other]: null → ") for line in lines)


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


def test_runs_whose_tables_are_damaged_or_gone_are_named(tmp_path: Path) -> None:
    """A table that cannot be read, or is not there, is bad input that says where."""
    store = RunStore(str(tmp_path))
    baseline, candidate = run_of(store, scored([1, 0])), run_of(store, scored([1, 1]))
    table = tmp_path / "runs" / baseline.run_id / "results.parquet"

    table.write_bytes(b"not Parquet")
    with pytest.raises(StoreError, match=r"a table of run .* cannot be read"):
        compare(baseline, candidate)
    table.unlink()
    with pytest.raises(ConfigError, match="its tables are no longer in"):
        compare(baseline, candidate)


def test_a_run_is_not_compared_with_itself() -> None:
    """The same run twice is a slip, not a comparison."""
    run = run_of(InMemoryRunStore(), scored([1]))

    with pytest.raises(ConfigError, match="named twice"):
        compare(run, run)
