"""How runs fare at gates."""

from __future__ import annotations

import pytest

from tests.support.compared_runs import StatedScore, case, run_of, scored
from tests.support.judged_gates import outcome, ready
from themis_lib import (
    InMemoryRunStore,
)
from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.gate_baselines import ReadyGate
from themis_lib.comparison.gate_outcomes import judge, judged
from themis_lib.core.option_names import GateBasis
from themis_lib.runs.results import RunResult as StoredRun


def test_threshold_goes_by_the_interval_of_the_summary() -> None:
    """90 of 100 pass 0.8, fail 0.97 and cannot tell 0.89; estimate and interval are the
    summary's.
    """
    run = run_of(InMemoryRunStore(), scored([1] * 90 + [0] * 10))
    (row,) = run.summary

    records = [outcome(run, f"m >= {limit}") for limit in (0.8, 0.97, 0.89)]

    assert ["pass", "fail", "underpowered"] == [
        record.outcome.value for record in records
    ]
    assert {(0.9, row.low, row.high)} == {
        (record.estimate, record.low, record.high) for record in records
    }
    assert all("100 case(s)" in record.reason for record in records)


def test_errors_are_stated_beside_the_outcome() -> None:
    """Cases without a score are left out of the mean and named in the reason."""
    run = run_of(InMemoryRunStore(), scored([1] * 30 + [None] * 3))

    assert "3 case(s) failed" in outcome(run, "m >= 0.5").reason


def test_answers_lost_to_errors_do_not_pass_where_they_count_0() -> None:
    """Under `errors: zero` a run that answers half as often is worse, however right the
    rest is.
    """
    store, zero = InMemoryRunStore(), {"errors": "zero"}
    baseline = run_of(store, scored([1] * 100), statistics=zero)
    run = run_of(store, scored([1] * 50 + [None] * 50), statistics=zero)

    threshold, regression = (
        outcome(run, "m >= 0.8"),
        outcome(run, "m no worse than baseline by 0.1", baseline),
    )

    assert ("fail", "fail") == (threshold.outcome.value, regression.outcome.value)
    assert "on 100 case(s)" in threshold.reason


def test_answers_that_are_missing_do_not_pass() -> None:
    """16 right of 40, the others without an answer, are 0.4 and not 1."""
    run = run_of(InMemoryRunStore(), scored([1] * 16 + ["none"] * 24))

    record = outcome(run, "m >= 0.8")

    assert ("fail", 0.4) == (record.outcome.value, record.estimate)
    assert "on 40 case(s)" in record.reason
    assert "24 case(s) had no answer" in record.reason


@pytest.mark.parametrize(
    ("gate", "failed", "expected"),
    [
        ("m >= 0.8", 0, "pass"),
        ("m >= 0.8", 1, "pass"),
        ("m >= 0.8", 30, "underpowered"),
        ("m < 0.8", 1, "fail"),
        ("m < 0.8", 30, "underpowered"),
    ],
)
@pytest.mark.parametrize("by", ["interval", "mean"])
def test_failed_cases_decide_nothing(
    gate: str, failed: int, expected: str, by: GateBasis
) -> None:
    """A gate holds whatever the failed cases would have scored, or cannot tell."""
    run = run_of(InMemoryRunStore(), scored([1] * 60 + [0] * 2 + [None] * failed))

    (record,) = judge(run, [ReadyGate(parse_gate(gate, by))])

    assert (expected, by) == (record.outcome.value, record.by)
    decides = f"with the scores of the {failed} case(s) that are left out"
    assert (expected == "underpowered") == (decides in record.reason)


@pytest.mark.parametrize("policy", ["zero", "exclude"])
def test_chosen_policy_decides_what_is_missing(policy: str) -> None:
    """Who counts failed cases as 0, or leaves out those without an answer, has said
    what they are.
    """
    cases = [1] * 60 + [None if policy == "zero" else "none"] * 30
    setting = "errors" if policy == "zero" else "no_answer"
    run = run_of(InMemoryRunStore(), scored(cases), statistics={setting: policy})

    record = outcome(run, "m >= 0.8")

    assert ("fail" if policy == "zero" else "pass") == record.outcome.value


def test_worst_score_that_nobody_knows_decides_nothing() -> None:
    """Of scores beyond 0 to 1 it is not known which one an answer is worth that is not
    there: it could be any that the run has.
    """
    metric = {"m": StatedScore(scale=10)}
    run = run_of(InMemoryRunStore(), scored([1] * 60 + ["none"] * 30), metrics=metric)
    sure = run_of(InMemoryRunStore(), scored([1] * 60 + [0] + ["none"]), metrics=metric)

    assert "underpowered" == outcome(run, "m >= 9").outcome.value
    assert "pass" == outcome(sure, "m >= 8").outcome.value


@pytest.mark.parametrize(
    ("right", "gate", "expected"),
    [
        (30, "m >= 0.9", "pass"),
        (26, "m >= 0.9", "fail"),
        (27, "m >= 0.9", "pass"),
        (27, "m > 0.9", "fail"),
    ],
)
def test_gate_by_the_mean_needs_no_interval(
    right: int, gate: str, expected: str
) -> None:
    """30 of 30 are no proof of 0.9 by their interval, but their mean is above it; the
    record says which it was.
    """
    run = run_of(InMemoryRunStore(), scored([1] * right + [0] * (30 - right)))

    (record,) = judge(run, [ReadyGate(parse_gate(gate, "mean"))])
    (careful,) = judge(run, [ReadyGate(parse_gate(gate))])

    assert (expected, "mean", f"{gate} by mean") == (
        record.outcome.value,
        record.by,
        record.title,
    )
    assert "whatever its interval" in record.reason
    assert ("underpowered", "interval", gate) == (
        careful.outcome.value,
        careful.by,
        careful.title,
    )


@pytest.mark.parametrize("gate", ["m >= 0.5", "m no worse than baseline by 0.02"])
def test_scores_that_do_not_vary_pass_no_gate_on_little_data(gate: str) -> None:
    """Two cases with the same score, 0.5 in both runs, are no proof of anything."""
    store = InMemoryRunStore()
    baseline, run = (
        run_of(store, scored([0.5] * 2)),
        run_of(store, scored([0.5] * 2), model="m2"),
    )

    ready = ReadyGate(parse_gate(gate), None if ">=" in gate else baseline)

    assert ["underpowered"] == [record.outcome.value for record in judge(run, [ready])]


def test_gate_is_judged_in_each_place_it_holds_for() -> None:
    """Without a place there is a record for each dataset, with a slice one for each
    dataset that has it.
    """
    store = InMemoryRunStore()
    cases = [
        case(f"q{at}", at % 2, topic="odd" if at % 2 else "even") for at in range(80)
    ]
    run = run_of(store, {"d": cases, "e": cases}, slices=["topic"])

    everywhere = judge(run, [ReadyGate(parse_gate("m >= 0.8"))])
    odd = judge(run, [ReadyGate(parse_gate("m >= 0.8 on topic=odd"))])
    none = outcome(run, "m >= 0.8 on topic=neither")

    assert [("d", "all", "fail"), ("e", "all", "fail")] == [
        (r.dataset_id, r.slice, r.outcome.value) for r in everywhere
    ]
    assert [("d", "topic=odd", "pass"), ("e", "topic=odd", "pass")] == [
        (r.dataset_id, r.slice, r.outcome.value) for r in odd
    ]
    assert ("underpowered", "no case is in this place") == (
        none.outcome.value,
        none.reason,
    )


def test_gates_are_on_the_run_s_record() -> None:
    """What is judged is in the manifest, and read back from the store."""
    store = InMemoryRunStore()
    run = run_of(store, scored([1] * 50))

    result = judged(
        run, [ReadyGate(parse_gate("m >= 0.5")), ReadyGate(parse_gate("m >= 0.99"))]
    )

    stored = StoredRun(store, run.run_id).manifest
    assert result.manifest == stored
    assert ["pass", "underpowered"] == [record.outcome.value for record in stored.gates]
    assert "underpowered" == stored.gate_outcome.value


def test_first_night_passes_with_a_note() -> None:
    """Where no earlier run is good there is nothing to compare with: the gate passes
    and says so.
    """
    store = InMemoryRunStore()
    gates = ready(["m no worse than last good by 0.02"], store)

    (record,) = judge(run_of(store, scored([1])), gates)

    assert ("pass", None) == (record.outcome.value, record.estimate)
    assert "nothing to compare" in record.reason
