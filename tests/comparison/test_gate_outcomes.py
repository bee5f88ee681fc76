"""How runs fare at gates, and which run is the last good one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.compared_runs import Stated, StatedScore, case, run_of, scored
from themis_lib import (
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    InMemoryRunStore,
    InputError,
    RunResult,
    RunStore,
)
from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.gate_baselines import ReadyGate, last_good, ready_gates
from themis_lib.comparison.gate_outcomes import judge, judged, not_judged
from themis_lib.runs.manifest import GateRecord, write_manifest
from themis_lib.runs.results import RunResult as StoredRun
from themis_lib.runs.run import Run


def outcome(
    run: RunResult,
    text: str,
    baseline: RunResult | None = None,
    cluster_by: str | None = None,
) -> GateRecord:
    (record,) = judge(run, [ReadyGate(parse_gate(text), baseline, cluster_by)])
    return record


def experiment(name: str = "stated") -> Experiment:
    return Experiment(
        name=name,
        generation=GenerationConfig(generator=Stated()),
        datasets=[Dataset(dataset_id="d", cases=scored([1, 0]))],
        evaluation=EvaluationConfig(
            metrics=[{"use": "tests.support.compared_runs:StatedScore", "id": "m"}]
        ),
    )


def ready(
    texts: Sequence[str], store: RunStore, *, until_stage: str = "reduce"
) -> list[ReadyGate]:
    return ready_gates(
        texts, pipeline=experiment().compile(until_stage=until_stage), store=store
    )


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

    assert "3 case(s) had no score" in outcome(run, "m >= 0.5").reason


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
    """A run is no worse by 0.05 if the whole interval of the paired difference says so."""
    store = InMemoryRunStore()
    baseline, run = (
        run_of(store, scored([1] * 200)),
        run_of(store, scored(after), model="m2"),
    )

    record = outcome(run, "m no worse than baseline by 0.05", baseline)

    assert (expected, baseline.run_id) == (record.outcome.value, record.baseline)
    assert pytest.approx(sum(after) / 200 - 1) == record.estimate


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


def test_last_good_run_completed_and_passed_its_gates() -> None:
    """Runs of other experiments, with failed rows, stopped early or not past their
    gates are passed over.
    """
    store = InMemoryRunStore()
    good = run_of(store, scored([1] * 50))
    run_of(store, scored([1]), name="other")
    run_of(store, scored([1, None]))
    run_of(store, scored([1]), until_stage="score")
    run_of(store, scored([1]), metrics={"other": StatedScore()})
    for gate in ("m >= 0.5", "m >= 0.99"):
        judged(run_of(store, scored([0.5, 0.25])), [ReadyGate(parse_gate(gate))])

    found = last_good(store, "stated", "m")

    assert good.run_id == found.run_id
    passed = judged(
        run_of(store, scored([1] * 50)), [ReadyGate(parse_gate("m >= 0.5"))]
    )
    assert passed.run_id == last_good(store, "stated", "m").run_id
    assert last_good(store, "stated", "mm") is None


def test_run_whose_gates_were_never_judged_is_not_good() -> None:
    """A run that came to its end, but not to its gates, is no baseline."""
    store = InMemoryRunStore()
    good = run_of(store, scored([1] * 50))
    gates = not_judged([ReadyGate(parse_gate("m >= 0.5"))])

    with Run(experiment().compile(until_stage="reduce"), store, gates=gates) as begun:
        recorded = StoredRun(store, begun.run_id).manifest.gates
    write_manifest(
        store,
        run_of(store, scored([1] * 50)).manifest.model_copy(update={"gates": recorded}),
    )

    assert gates == recorded
    assert good.run_id == last_good(store, "stated", "m").run_id


def test_baseline_is_found_before_the_run() -> None:
    """`last good`, `baseline`, an experiment and an id name the run; a threshold needs
    none.
    """
    store = InMemoryRunStore()
    run = run_of(store, scored([1]))
    names = ["last good", "BASELINE", "last", "stated", run.run_id]

    gates = ready(
        [*(f"m no worse than {name} by 0.1" for name in names), "m >= 0.1"], store
    )

    assert [run.run_id] * len(names) == [gate.baseline.run_id for gate in gates[:-1]]
    assert gates[-1].baseline is None


REFUSED = {
    "m => 0.1": "gate 'm => 0.1': write",
    "mm >= 0.1": "no metric 'mm'; did you mean 'm'?",
    "m >= 0.1 on dd": "no dataset or slice 'dd'; did you mean 'd'?",
    "m no worse than statd by 0.1": "did you mean 'stated'?",
    "m no worse than other by 0.1": "has no scores of 'm'; choose one of 'mmm'",
    "m no worse than early by 0.1": "it did not come to its end",
}


@pytest.mark.parametrize("text", REFUSED)
def test_gate_that_cannot_be_judged_is_refused_before_the_run(text: str) -> None:
    """A malformed gate, an unknown name, or a baseline without the metric is one error
    that names the gate.
    """
    store = InMemoryRunStore()
    run_of(store, scored([1]))
    run_of(store, scored([1]), name="other", metrics={"mmm": StatedScore()})
    run_of(store, scored([1]), name="early", until_stage="score")

    with pytest.raises(InputError) as refusal:
        ready([text], store)

    assert REFUSED[text] in str(refusal.value)
    assert text in str(refusal.value)


def test_gates_need_a_run_to_the_end() -> None:
    """A run that stops before scores are reduced has nothing to judge."""
    with pytest.raises(InputError, match="run until 'reduce'"):
        ready(["m >= 0.1"], InMemoryRunStore(), until_stage="score")
