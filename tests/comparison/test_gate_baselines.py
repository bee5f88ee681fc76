"""The runs that gates compare with, and gates that are refused before a run."""

from __future__ import annotations

import pytest

from tests.support.compared_runs import StatedScore, run_of, scored
from tests.support.judged_gates import experiment, ready
from themis_lib import InMemoryRunStore, InputError
from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.gate_baselines import ReadyGate, last_good
from themis_lib.comparison.gate_outcomes import judged, not_judged
from themis_lib.runs.manifest import ImportRecord, write_manifest
from themis_lib.runs.results import RunResult as StoredRun
from themis_lib.runs.run import Run


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


def test_imported_log_is_no_last_good_run() -> None:
    """An import under the experiment's name does not become what its gates compare with."""
    store = InMemoryRunStore()
    good = run_of(store, scored([1]))
    imported = run_of(store, scored([1]))
    record = ImportRecord(
        tool="lm_eval",
        tool_version=None,
        task="t",
        model=None,
        created_at=None,
        status=None,
        file="samples_t.jsonl",
        sha256="0" * 64,
    )
    changes = {"imported": record}
    write_manifest(store, imported.manifest.model_copy(update=changes))

    found = last_good(store, "stated", "m")

    assert found is not None
    assert good.run_id == found.run_id


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
