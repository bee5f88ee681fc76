"""Gates on a difference: what is no worse than a baseline, and what cannot be told."""

from __future__ import annotations

import pytest

from tests.support.compared_runs import StatedScore, case, run_of, scored
from tests.support.judged_gates import outcome
from themis_lib import InMemoryRunStore


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([1] * 200, "pass"),  # nothing lost
        ([0] * 60 + [1] * 140, "fail"),  # 30 points lost
        ([0] * 6 + [1] * 194, "underpowered"),  # 3 points lost
        ([0] * 1 + [1] * 199, "pass"),  # half a point lost, and surely fewer than five
    ],
)
def test_regression_goes_by_the_interval_of_the_difference(
    after: list[float], expected: str
) -> None:
    """A run is no worse by 0.05 if the whole interval of the paired difference says
    so.
    """
    store = InMemoryRunStore()
    baseline, run = (
        run_of(store, scored([1] * 200)),
        run_of(store, scored(after), model="m2"),
    )

    record = outcome(run, "m no worse than baseline by 0.05", baseline)

    assert (expected, baseline.run_id) == (record.outcome.value, record.baseline)
    assert pytest.approx(sum(after) / 200 - 1) == record.estimate


@pytest.mark.parametrize(("errors", "expected"), [(140, "pass"), (180, "fail")])
def test_rise_is_worse_where_lower_is_better(errors: int, expected: str) -> None:
    """Of a metric that counts errors, fewer are no worse and more are."""
    store = InMemoryRunStore()
    runs = []
    for count in (160, errors):
        cases = scored([-1] * count + [0] * (200 - count))
        metrics = {"m": StatedScore(-1)}
        runs.append(run_of(store, cases, metrics=metrics, model=f"m{count}"))
    baseline, run = runs

    record = outcome(run, "m no worse than baseline by 0.05", baseline)

    assert (expected, pytest.approx((errors - 160) / 200)) == (
        record.outcome.value,
        record.estimate,
    )


def test_equal_scores_on_little_data_are_underpowered_unless_nothing_was_changed() -> (
    None
):
    """Ten equal scores of another model prove nothing; the same computation on the same
    cases is the same.
    """
    store = InMemoryRunStore()
    baseline = run_of(store, scored([1] * 10))
    other, same = (
        run_of(store, scored([1] * 10), model="m2"),
        run_of(store, scored([1] * 10)),
    )
    gate = "m no worse than baseline by 0.02"

    assert "underpowered" == outcome(other, gate, baseline).outcome.value
    assert "pass" == outcome(same, gate, baseline).outcome.value
    assert "the same computation" in outcome(same, gate, baseline).reason
    assert (
        "underpowered"
        == outcome(run_of(store, scored([1] * 11)), gate, baseline).outcome.value
    )


def test_clusters_make_a_gate_more_careful() -> None:
    """A regression that is certain for independent cases is not for ten clusters of
    them.
    """
    store = InMemoryRunStore()
    lost = [0.0] * 40 + [0.5] * 60
    before = [case(f"q{at}", 0.5, text=f"t{at // 10}") for at in range(100)]
    after = [case(f"q{at}", lost[at], text=f"t{at // 10}") for at in range(100)]
    baseline, run = run_of(store, before), run_of(store, after)
    gate = "m no worse than baseline by 0.1"

    assert "fail" == outcome(run, gate, baseline).outcome.value
    assert "underpowered" == outcome(run, gate, baseline, "text").outcome.value


def test_clusters_of_the_experiment_are_those_of_its_gates() -> None:
    """A run whose statistics name clusters is not compared as if its cases were
    independent.
    """
    store = InMemoryRunStore()
    lost = [0.0] * 40 + [0.5] * 60
    before, after = (
        [case(f"q{at}", score, text=f"t{at // 10}") for at, score in enumerate(scores)]
        for scores in ([0.5] * 100, lost)
    )
    baseline, run = (
        run_of(store, before),
        run_of(store, after, statistics={"cluster_by": "text"}),
    )

    assert (
        "underpowered"
        == outcome(run, "m no worse than baseline by 0.1", baseline).outcome.value
    )


def test_slice_of_a_regression_need_not_be_in_the_summary() -> None:
    """A comparison makes its own slices: a gate on one is judged whether the run was
    summarised by it or not.
    """
    store = InMemoryRunStore()
    before = [case(f"q{at}", 1, topic="odd" if at % 2 else "even") for at in range(80)]
    after = [
        case(f"q{at}", at % 2, topic="odd" if at % 2 else "even") for at in range(80)
    ]

    record = outcome(
        run_of(store, after),
        "m no worse than baseline by 0.1 on topic=even",
        run_of(store, before),
    )

    assert ("d", "topic=even", "fail") == (
        record.dataset_id,
        record.slice,
        record.outcome.value,
    )


def test_gate_that_cannot_be_compared_anywhere_has_a_record() -> None:
    """A slice that no case has is not passed in silence."""
    store = InMemoryRunStore()

    record = outcome(
        run_of(store, scored([1])),
        "m no worse than b by 0.1 on topic=a",
        run_of(store, scored([1])),
    )

    assert "underpowered" == record.outcome.value
    assert "no case has metadata 'topic'" in record.reason


def test_slice_of_a_regression_is_compared_within_itself() -> None:
    """What is lost in one slice fails there, and passes in the other."""
    store = InMemoryRunStore()

    def cases(odd: float) -> list:
        return [
            case(f"q{at}", odd if at % 2 else 1.0, topic="odd" if at % 2 else "even")
            for at in range(400)
        ]

    baseline, run = (
        run_of(store, cases(1.0), slices=["topic"]),
        run_of(store, cases(0.0), slices=["topic"]),
    )

    outcomes = [
        outcome(
            run, f"m no worse than baseline by 0.02 on topic={name}", baseline
        ).outcome.value
        for name in ("odd", "even")
    ]

    assert ["fail", "pass"] == outcomes


def test_baseline_without_a_case_in_common_cannot_tell() -> None:
    """Other data is no comparison, and the reason says so."""
    store = InMemoryRunStore()
    baseline, run = run_of(store, {"a": scored([1])}), run_of(store, {"b": scored([1])})

    record = outcome(run, "m no worse than baseline by 0.1", baseline)

    assert "underpowered" == record.outcome.value
    assert "no case in common" in record.reason
