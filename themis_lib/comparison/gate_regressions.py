"""The outcomes of gates on a difference: no worse than a baseline by a margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from themis_lib.comparison.compare import compare
from themis_lib.comparison.gate import Gate
from themis_lib.comparison.gate_baselines import ReadyGate
from themis_lib.comparison.gate_records import (
    GateNumbers,
    Place,
    gate_record,
    interval_text,
    judge_numbers,
    nominal_place,
    placeless_record,
)
from themis_lib.comparison.models import Difference
from themis_lib.errors import InputError
from themis_lib.labels.corrected_scores import few_labels_text
from themis_lib.runs.manifest import (
    GateOutcome,
    GateRecord,
)
from themis_lib.runs.results import RunResult
from themis_lib.stats.prediction_powered import FEWEST_LABELS


def judge_regression(
    result: RunResult,
    ready: ReadyGate,
    baseline: RunResult,
    summarised: Sequence[Place],
) -> list[GateRecord]:
    """Judge a gate against its baseline.

    Returns a record for each place that the summary (`summarised`) or the comparison
    has. What cannot be compared is underpowered, never an error.
    """
    gate = _directed(ready.gate, result)
    # A comparison makes its own slices, whether or not the run was summarised by them.
    columns = []
    if gate.place is not None and gate.place not in result.manifest.datasets:
        columns.append(gate.place.partition("=")[0])
    differences: dict[Place, Difference] = {}
    try:
        comparison = compare(
            baseline,
            result,
            cluster_by=ready.cluster_by,
            slices=columns,
            corrected=gate.is_corrected,
        )
    except InputError as error:
        # The run has ended and keeps its results: what cannot be compared is a record.
        missing = str(error)
        is_complete = False
    else:
        missing = f"no case of run {baseline.run_id!r} is in this place"
        is_complete = not comparison.unmatched
        for item in comparison.differences:
            is_there = gate.is_for(item.dataset_id, item.slice)
            if item.metric_id == gate.metric_id and is_there:
                differences[item.dataset_id, item.slice] = item
        # No case is in the place in either run, which is nothing to pass.
        if not summarised and not differences:
            return [placeless_record(gate, "no case is in this place")]
    # The summary's order first; a comparison may have slices that it lacks.
    places = list(dict.fromkeys([*summarised, *differences]))
    records = []
    for place in places or [nominal_place(gate)]:
        if place in differences:
            record = _judge_difference(
                result,
                gate,
                baseline,
                differences[place],
                is_complete=is_complete,
            )
            record = _with_notes(record, comparison.notes)
        else:
            record = gate_record(
                gate,
                place,
                baseline=baseline,
                reason=missing,
            )
        records.append(record)
    return records


def _with_notes(
    record: GateRecord,
    notes: Sequence[str],
) -> GateRecord:
    return record.model_copy(update={"reason": "; ".join([record.reason, *notes])})


def _directed(
    gate: Gate,
    result: RunResult,
) -> Gate:
    """Return the gate with its limit above 0 where a lower score is better."""
    if gate.metric_id not in result.manifest.lower_is_better:
        return gate
    return replace(gate, relation="<=", limit=-gate.limit)


def _judge_difference(
    result: RunResult,
    gate: Gate,
    baseline: RunResult,
    item: Difference,
    *,
    is_complete: bool,
) -> GateRecord:
    # Without this, a rerun that changes nothing would be underpowered on little data.
    # Nothing may be missing: other cases or errors could hide a difference.
    is_same_computation = (
        is_complete
        and result.manifest.experiment == baseline.manifest.experiment
        and item.n > 0
        and item.tied == item.n
        and item.baseline_errors == item.candidate_errors
        and item.baseline_no_answer == item.candidate_no_answer
        # Of corrected means and scores of a data set, equal rows are not enough.
        and item.difference == 0
    )
    if item.labels is not None and item.labels < FEWEST_LABELS:
        outcome = GateOutcome.UNDERPOWERED
        reason = few_labels_text(result, gate.metric_id, item.labels)
    elif is_same_computation:
        outcome = GateOutcome.PASS
        reason = f"the same computation as run {baseline.run_id!r}, and the same scores"
    else:
        undecided = "the cases that are left out" if item.is_undecided else None
        numbers = GateNumbers(
            estimate=item.difference,
            interval=(item.low, item.high),
            possible=(item.least, item.greatest),
            possible_interval=(item.possible_low, item.possible_high),
        )
        outcome, meaning = judge_numbers(gate, numbers, undecided)
        reason = _comparison_reason(item, baseline, outcome, meaning)
    return gate_record(
        gate,
        (item.dataset_id, item.slice),
        outcome,
        numbers=(item.difference, item.low, item.high),
        baseline=baseline,
        reason=reason,
    )


def _comparison_reason(
    item: Difference,
    baseline: RunResult,
    outcome: GateOutcome,
    meaning: str,
) -> str:
    numbers = item.difference, item.low, item.high
    parts = [
        f"difference {interval_text(numbers)} from run {baseline.run_id!r} on "
        f"{item.n:,} case(s): {meaning}"
    ]
    if outcome is GateOutcome.UNDERPOWERED and item.detectable is not None:
        parts.append(f"they show differences of {item.detectable:.4f} or more")
    missing = (
        (item.baseline_no_answer, "had no answer there"),
        (item.candidate_no_answer, "had no answer here"),
        (item.baseline_errors, "failed there"),
        (item.candidate_errors, "failed here"),
    )
    for count, what in missing:
        if count:
            parts.append(f"{count:,} {what}")
    return "; ".join(parts)
