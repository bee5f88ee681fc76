"""Two runs beside each other: what is counted, and what such data can show."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.compared_runs import StatedScore, case, run_of, scored
from tests.support.table_files import with_table_files
from themis_lib import ConfigError, InMemoryRunStore, RunResult, RunStore, compare
from themis_lib.comparison.run_pair import (
    RunPair,
    shared_metrics,
)
from themis_lib.comparison.scored_cases import scored_cases


def test_groups_are_the_whole_and_then_its_slices() -> None:
    """Each group holds the positions of its own cases."""
    store = InMemoryRunStore()
    before = [case("a", 0, topic="x"), case("b", 0, topic="y"), case("c", 0, topic="x")]
    run = run_of(store, before)
    pair = RunPair(run, run_of(store, before), cluster_by=None, slices=["topic"])

    groups = [(group.slice, group.members.tolist()) for group in pair.groups()]

    assert [("all", [0, 1, 2]), ("topic=x", [0, 2]), ("topic=y", [1])] == groups


def test_a_slice_that_is_named_twice_is_compared_once() -> None:
    """Twice the same differences would make Holm's adjustment stricter."""
    store = InMemoryRunStore()
    before = [case("a", 0, topic="x"), case("b", 0, topic="x")]
    pair = RunPair(
        run_of(store, before),
        run_of(store, before),
        cluster_by=None,
        slices=["topic", "topic"],
    )

    assert ["all", "topic=x"] == [group.slice for group in pair.groups()]


def test_metrics_of_one_run_alone_are_left_out() -> None:
    """What both have is compared; nothing in common is an error."""
    store = InMemoryRunStore()
    both = run_of(
        store,
        scored([1]),
        metrics={"m": StatedScore(), "n": StatedScore()},
    )
    one = run_of(store, scored([1]))
    other = run_of(store, scored([1]), metrics={"n": StatedScore()})

    assert ["m"] == shared_metrics(scored_cases(both), scored_cases(one))
    with pytest.raises(ConfigError, match="no metric in common"):
        shared_metrics(scored_cases(one), scored_cases(other))


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


def test_slices_are_the_candidate_s() -> None:
    """Where the runs disagree about a column, the candidate's values count."""
    store = InMemoryRunStore()
    before = [case("a", 0, topic="old"), case("b", 0, topic="old")]
    after = [case("b", 1, topic="new"), case("a", 0, topic="other")]

    comparison = compare(run_of(store, before), run_of(store, after), slices=["topic"])

    rows = {item.slice: item.difference for item in comparison.differences}
    assert {"all": 0.5, "topic=new": 1.0, "topic=other": 0.0} == rows


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


def test_cases_without_an_answer_count_0_in_both_runs() -> None:
    """An answer that is lost is a fall, whatever the rest scores."""
    store = InMemoryRunStore()
    before, after = scored([1] * 20), scored([1] * 10 + ["none"] * 10)

    comparison = compare(run_of(store, before), run_of(store, after))

    (item,) = comparison.differences
    assert (20, 0, 10, "zero") == (
        item.n,
        item.baseline_no_answer,
        item.candidate_no_answer,
        item.no_answer_policy,
    )
    assert (-0.5, "worse", 0) == (item.difference, item.conclusion, item.worsened - 10)
    assert 10 == len(comparison.flips)


@pytest.mark.parametrize(
    ("failed", "conclusion"), [(0, "better"), (1, "better"), (12, "cannot tell")]
)
def test_conclusion_holds_whatever_failed_cases_score(
    failed: int, conclusion: str
) -> None:
    """With many failed cases the difference could be none at all."""
    store = InMemoryRunStore()
    before = scored([0] * 12 + [1] * 20 + [1] * failed)
    after = scored([1] * 32 + [None] * failed)

    (item,) = compare(run_of(store, before), run_of(store, after)).differences

    assert (failed > 0, conclusion, 32) == (item.is_undecided, item.conclusion, item.n)
    ends = (item.least, item.greatest)
    size = 32 + failed
    assert pytest.approx(((12 - failed) / size, 12 / 32)) == ends
    if failed == 0:
        assert (item.low, item.high) == (item.possible_low, item.possible_high)


def test_left_out_answers_stay_left_out() -> None:
    """`no_answer: exclude` of the candidate holds for both runs."""
    store, left_out = InMemoryRunStore(), {"no_answer": "exclude"}
    before, after = scored([1, "none", 0, 1]), scored([1, 1, "none", 0])

    (item,) = compare(
        run_of(store, before), run_of(store, after, statistics=left_out)
    ).differences

    assert (2, 1, 1, False) == (
        item.n,
        item.baseline_no_answer,
        item.candidate_no_answer,
        item.is_undecided,
    )


def test_run_of_an_earlier_version_tells_by_its_reasons(tmp_path: Path) -> None:
    """Version 0.1.0 wrote neither what is missing nor the range of a metric."""
    store = RunStore(str(tmp_path))
    baseline = run_of(store, scored([1, "none", None, 0]))
    candidate = run_of(store, scored([1, 1, 1, 0]))
    for run in (baseline, candidate):
        folder = tmp_path / "runs" / with_table_files(run).run_id
        for name, newer in (
            ("results", ["missing"]),
            ("summary", ["no_answer_policy", "no_answer", "lowest", "highest"]),
        ):
            path = folder / f"{name}.parquet"
            pq.write_table(pq.read_table(path).drop_columns(newer), path)

    older = [RunResult(store, run.run_id) for run in (baseline, candidate)]
    (item,) = compare(*older).differences

    assert (3, 1, 1) == (item.n, item.baseline_no_answer, item.baseline_errors)
    assert pytest.approx(1 / 3) == item.difference
