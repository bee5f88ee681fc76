"""Gates on means that labels correct, and comparisons of them."""

from __future__ import annotations

import re

import pytest

from tests.support.corrected_runs import people, people_mean, strangers_answer
from tests.support.judged_gates import outcome
from tests.support.labelling import give_labels, judged_run
from themis_lib import (
    ConfigError,
    InMemoryRunStore,
    RunResult,
    assert_no_worse,
    compare,
    corrected_score,
)
from themis_lib.runs.manifest import GateOutcome

Runs = tuple[RunResult, RunResult]


def runs_with_labels(before_labels: int, after_labels: int) -> Runs:
    """Two runs of as many right answers; people are strict with the second one."""
    store = InMemoryRunStore()
    before = judged_run(store, count=240, name="before")
    after = judged_run(store, count=240, name="after", model=strangers_answer)
    give_labels(before, before_labels, value=people(before, strict=20))
    give_labels(after, after_labels, value=people(after, strict=2))
    return before, after


@pytest.fixture(scope="module")
def two_runs() -> Runs:
    return runs_with_labels(80, 80)


def test_gate_by_the_corrected_mean(two_runs: Runs) -> None:
    """The raw mean passes what the corrected one fails."""
    _, run = two_runs

    raw = outcome(run, "correct >= 0.55")
    corrected = outcome(run, "corrected(correct) >= 0.55")

    assert (GateOutcome.PASS, GateOutcome.FAIL) == (raw.outcome, corrected.outcome)
    found = corrected_score(run, "correct")
    assert (found.mean, found.low, found.high) == (
        corrected.estimate,
        corrected.low,
        corrected.high,
    )
    assert "from 80 label(s) on 240 case(s), raw 0.6667" in corrected.reason
    assert GateOutcome.PASS is outcome(run, "corrected(correct) <= 0.55").outcome


def test_gate_in_one_place(two_runs: Runs) -> None:
    _, run = two_runs

    assert GateOutcome.FAIL is outcome(run, "corrected(correct) > 0.6 on sums").outcome
    nowhere = outcome(run, "corrected(correct) > 0.6 on level=none")
    assert (GateOutcome.UNDERPOWERED, "no case is in this place") == (
        nowhere.outcome,
        nowhere.reason,
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (0, "themis label .* --metric correct --count 100"),
        (12, "12 labels are too few"),
    ],
)
def test_gate_without_enough_labels_is_underpowered(labels: int, message: str) -> None:
    """And it says what to do."""
    run = judged_run(InMemoryRunStore(), count=60)
    give_labels(run, labels, value=people(run))

    record = outcome(run, "corrected(correct) >= 0.1")

    assert GateOutcome.UNDERPOWERED is record.outcome
    assert re.search(message, record.reason)


def test_corrected_difference(two_runs: Runs) -> None:
    """Equal by the judge, far apart by people."""
    before, after = two_runs

    (raw,) = compare(before, after).differences
    comparison = compare(before, after, corrected=True)
    (item,) = comparison.differences

    assert (0, "same") == (raw.difference, raw.conclusion)
    truth = people_mean(after, strict=2) - people_mean(before, strict=20)
    assert item.low < truth < item.high < 0
    assert "worse" == item.conclusion
    assert (80, 80, 80) == (item.baseline_labels, item.candidate_labels, item.labels)
    assert (None, None, None) == (item.cases_needed, item.samples_needed, item.noise)
    assert "t of corrected means" == item.test
    assert any("80 and 80 labels" in note for note in comparison.notes)


def test_regression_by_the_corrected_difference(two_runs: Runs) -> None:
    before, after = two_runs

    raw = outcome(after, "correct no worse than before by 0.05", before)
    found = outcome(after, "corrected(correct) no worse than before by 0.05", before)

    assert (GateOutcome.FAIL, before.run_id) == (found.outcome, found.baseline)
    assert GateOutcome.PASS is raw.outcome
    assert_no_worse(after, before, metric="correct", margin=0.05)
    with pytest.raises(AssertionError, match="--corrected"):
        assert_no_worse(after, before, metric="corrected(correct)", margin=0.05)


def test_few_labels_conclude_nothing() -> None:
    before, after = runs_with_labels(80, 10)

    comparison = compare(before, after, corrected=True)
    record = outcome(after, "corrected(correct) no worse than before by 0.9", before)

    (item,) = comparison.differences
    assert ("cannot tell", None) == (item.conclusion, item.p_value)
    assert any("too few to conclude" in note for note in comparison.notes)
    assert GateOutcome.UNDERPOWERED is record.outcome
    assert "10 labels are too few" in record.reason


@pytest.mark.parametrize("labelled", ["before", "after", "neither"])
def test_comparison_without_labels_says_which_run_to_label(labelled: str) -> None:
    store = InMemoryRunStore()
    before = judged_run(store, name="before")
    after = judged_run(store, name="after", model=strangers_answer)
    if labelled != "neither":
        give_labels(before if labelled == "before" else after, 6)
    lacking = after if labelled == "before" else before

    with pytest.raises(ConfigError, match=f"themis label {lacking.run_id}"):
        compare(before, after, corrected=True)


def test_same_computation_passes() -> None:
    """A run again, with the same texts and so the same labels, is no worse."""
    store = InMemoryRunStore()
    before = judged_run(store, count=60, name="once")
    give_labels(before, 30, value=people(before))
    after = judged_run(store, count=60, name="once")

    record = outcome(after, "corrected(correct) no worse than once by 0", before)

    assert GateOutcome.PASS is record.outcome
