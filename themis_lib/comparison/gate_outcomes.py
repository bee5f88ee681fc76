"""The outcomes of a run's gates."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.comparison.gate import Gate
from themis_lib.comparison.gate_baselines import ReadyGate
from themis_lib.comparison.gate_corrections import judge_corrected
from themis_lib.comparison.gate_records import (
    GateNumbers,
    Numbers,
    Place,
    gate_record,
    interval_text,
    judge_numbers,
    placeless_record,
)
from themis_lib.comparison.gate_regressions import judge_regression
from themis_lib.comparison.sequential_text import question_text, stopped_note
from themis_lib.runs.manifest import (
    GateOutcome,
    GateRecord,
    RunStatus,
    write_manifest,
)
from themis_lib.runs.results import (
    RunResult,
    SummaryRow,
)
from themis_lib.runs.summary import ALL_CASES

_OUTCOMES = {"pass": GateOutcome.PASS, "fail": GateOutcome.FAIL}


def judged(
    result: RunResult,
    gates: Sequence[ReadyGate],
) -> RunResult:
    """Judge the gates of a run, write the outcomes to its record, and return the run.

    Without gates nothing is written, and nothing is judged while rows wait for batches.
    """
    if not gates or result.status is RunStatus.WAITING:
        return result
    records = judge(result, gates)
    manifest = result.manifest.model_copy(update={"gates": records})
    write_manifest(result.store, manifest)
    return RunResult(
        result.store,
        result.run_id,
        manifest,
        corpus_metrics=result.corpus_metrics,
    )


def not_judged(gates: Sequence[ReadyGate]) -> list[GateRecord]:
    """Return the records of gates for a run that is still under way.

    A run that is killed keeps them, so it does not look like one that had no gates.
    """
    return [placeless_record(ready.gate, "it was not judged") for ready in gates]


def judge(
    result: RunResult,
    gates: Sequence[ReadyGate],
) -> list[GateRecord]:
    """Return a record for each gate of a run and each place that the gate holds for."""
    records: list[GateRecord] = []
    for ready in gates:
        records += _decided_records(result, ready) or _judge_gate(result, ready)
    return records


def _judge_gate(
    result: RunResult,
    ready: ReadyGate,
) -> list[GateRecord]:
    """Return the records of a gate that did not decide when the run stopped."""
    gate = ready.gate
    rows = []
    places = []
    for row in result.summary:
        is_there = gate.is_for(row.dataset_id, row.slice)
        if row.metric_id == gate.metric_id and is_there:
            rows.append(row)
            places.append((row.dataset_id, row.slice))
    if ready.baseline is not None:
        records = judge_regression(
            result,
            ready,
            ready.baseline,
            places,
        )
        return _without_fixed_intervals(records, result)
    if not places:
        # A gate on a place without a case must not pass unnoticed.
        return [placeless_record(gate, "no case is in this place")]
    if gate.baseline is not None:
        return _first_run_records(result, gate, places)
    if gate.is_corrected:
        return _without_fixed_intervals(judge_corrected(result, gate, rows), result)
    return [judge_threshold(gate, row) for row in rows]


def _first_run_records(
    result: RunResult,
    gate: Gate,
    places: Sequence[Place],
) -> list[GateRecord]:
    """Return the records of a gate whose baseline, the last good run, is not there yet."""
    # A first run has to pass, or none could become the last good one.
    reason = (
        f"no earlier run of {result.manifest.name!r} completed and passed its gates: "
        "nothing to compare"
    )
    records = []
    for place in places:
        records.append(gate_record(gate, place, GateOutcome.PASS, reason=reason))
    return records


def _without_fixed_intervals(
    records: Sequence[GateRecord],
    result: RunResult,
) -> list[GateRecord]:
    """Return records, undecided where the run stopped when decided.

    Its summary has confidence sequences; differences and corrected means have intervals
    for a number of cases that was fixed before.
    """
    stopped = stopped_note(result.manifest)
    if stopped is None:
        return list(records)
    changes = {
        "outcome": GateOutcome.UNDERPOWERED,
        "low": None,
        "high": None,
        "reason": f"it was not what decided: {stopped}",
    }
    kept = []
    for record in records:
        if record.estimate is not None and record.by == "interval":
            record = record.model_copy(update=changes)
        kept.append(record)
    return kept


def _decided_records(
    result: RunResult,
    ready: ReadyGate,
) -> list[GateRecord]:
    """Return the records of a gate that decided when the run stopped, if it did."""
    sequential = result.manifest.sequential
    if sequential is None or ready.gate.by != "interval":
        return []
    records = []
    for item in sequential.questions:
        if item.gate != ready.gate.text:
            continue
        look = item.last
        numbers: Numbers = (None, None, None)
        if look is not None:
            numbers = (look.estimate, look.low, look.high)
        record = gate_record(
            ready.gate,
            (item.dataset_id, ALL_CASES),
            _OUTCOMES.get(item.verdict, GateOutcome.UNDERPOWERED),
            numbers=numbers,
            baseline=ready.baseline,
            reason=question_text(item),
        )
        records.append(record)
    return records


def judge_threshold(
    gate: Gate,
    row: SummaryRow,
) -> GateRecord:
    """Judge a gate by one row of a run's summary."""
    undecided = None
    if row.undecided:
        undecided = f"the {row.undecided:,} case(s) that are left out"
    numbers = GateNumbers(
        estimate=row.mean,
        interval=(row.low, row.high),
        possible=row.possible_means,
        possible_interval=(row.possible_low, row.possible_high),
    )
    outcome, meaning = judge_numbers(gate, numbers, undecided)
    what = "score" if row.is_corpus else "mean"
    reason = f"{what} {interval_text(numbers.shown)} on {row.n:,} case(s): {meaning}"
    if row.no_answer:
        reason += f"; {row.no_answer:,} case(s) had no answer"
    if row.errors:
        reason += f"; {row.errors:,} case(s) failed"
    return gate_record(
        gate,
        (row.dataset_id, row.slice),
        outcome,
        numbers=numbers.shown,
        reason=reason,
    )
