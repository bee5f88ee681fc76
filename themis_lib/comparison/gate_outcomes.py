"""How a run fares at its gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from themis_lib.comparison.compare import compare
from themis_lib.comparison.gate import Gate
from themis_lib.comparison.gate_baselines import ReadyGate
from themis_lib.comparison.models import Difference
from themis_lib.errors import InputError
from themis_lib.runs.manifest import GateOutcome, GateRecord, write_manifest
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.summary import ALL_CASES

_Place = tuple[str, str]
_MEANING = {
    GateOutcome.PASS: "the whole interval passes",
    GateOutcome.FAIL: "the whole interval fails",
    GateOutcome.UNDERPOWERED: "they cannot tell",
}


def judged(
    result: RunResult,
    gates: Sequence[ReadyGate],
) -> RunResult:
    """The run with its gates judged, and that on its record."""
    if not gates:
        return result
    manifest = result.manifest.model_copy(update={"gates": judge(result, gates)})
    write_manifest(result.store, manifest)
    return RunResult(result.store, result.run_id, manifest)


def not_judged(gates: Sequence[ReadyGate]) -> list[GateRecord]:
    """The records of gates of a run that has yet to end."""
    return [
        _make_record(
            ready.gate, (ready.gate.place or "", ALL_CASES), reason="it was not judged"
        )
        for ready in gates
    ]


def judge(
    result: RunResult,
    gates: Sequence[ReadyGate],
) -> list[GateRecord]:
    """How each gate comes out for a run, a record for each place it holds for."""
    return [record for ready in gates for record in _gate_records(result, ready)]


def _gate_records(
    result: RunResult,
    ready: ReadyGate,
) -> Iterator[GateRecord]:
    gate = ready.gate
    rows = [
        row
        for row in result.summary
        if row.metric_id == gate.metric_id and gate.is_for(row.dataset_id, row.slice)
    ]
    places = [(row.dataset_id, row.slice) for row in rows]
    if ready.baseline is not None:
        yield from _regression_records(
            result,
            ready,
            ready.baseline,
            places,
        )
    elif not places:
        yield _missing_record(gate)
    elif gate.baseline is None:
        yield from (_threshold_record(gate, row) for row in rows)
    else:
        reason = f"no earlier run of {result.manifest.name!r} completed and passed its gates: nothing to compare"
        yield from (
            _make_record(
                gate,
                place,
                GateOutcome.PASS,
                reason=reason,
            )
            for place in places
        )


def _missing_record(gate: Gate) -> GateRecord:
    return _make_record(
        gate, (gate.place or "", ALL_CASES), reason="no case is in this place"
    )


def _threshold_record(
    gate: Gate,
    row: SummaryRow,
) -> GateRecord:
    outcome = gate.outcome(row.low, row.high)
    errors = f"; {row.errors:,} case(s) had no score" if row.errors else ""
    cases = row.n + (row.errors if row.error_policy == "zero" else 0)
    reason = f"mean {_shown_interval(row.mean, row.low, row.high)} on {cases:,} case(s): {_MEANING[outcome]}{errors}"
    return _make_record(
        gate,
        (row.dataset_id, row.slice),
        outcome,
        (row.mean, row.low, row.high),
        reason=reason,
    )


def _regression_records(
    result: RunResult,
    ready: ReadyGate,
    baseline: RunResult,
    summarised: Sequence[_Place],
) -> Iterator[GateRecord]:
    """A record for each place that the summary or the comparison has."""
    gate = ready.gate
    is_slice = gate.place is not None and gate.place not in result.manifest.datasets
    column = (
        [gate.place.partition("=")[0]] if gate.place is not None and is_slice else []
    )
    try:
        comparison = compare(
            baseline,
            result,
            cluster_by=ready.cluster_by,
            slices=column,
        )
    except InputError as error:
        places = summarised or [(gate.place or "", ALL_CASES)]
        yield from (
            _make_record(
                gate,
                place,
                baseline=baseline,
                reason=str(error),
            )
            for place in places
        )
        return
    found = {
        (item.dataset_id, item.slice): item
        for item in comparison.differences
        if item.metric_id == gate.metric_id and gate.is_for(item.dataset_id, item.slice)
    }
    for place in dict.fromkeys([*summarised, *found]):
        if place in found:
            yield _regression_record(
                result,
                gate,
                baseline,
                found[place],
                is_complete=not comparison.unmatched,
            )
        else:
            reason = f"no case of run {baseline.run_id!r} is in this place"
            yield _make_record(
                gate,
                place,
                baseline=baseline,
                reason=reason,
            )
    if not summarised and not found:
        yield _missing_record(gate)


def _regression_record(
    result: RunResult,
    gate: Gate,
    baseline: RunResult,
    item: Difference,
    *,
    is_complete: bool,
) -> GateRecord:
    place = item.dataset_id, item.slice
    numbers = item.difference, item.low, item.high
    if is_complete and _is_same_computation(result, baseline, item):
        reason = f"the same computation as run {baseline.run_id!r}, and the same scores"
        return _make_record(
            gate,
            place,
            GateOutcome.PASS,
            numbers,
            baseline=baseline,
            reason=reason,
        )
    outcome = gate.outcome(item.low, item.high)
    return _make_record(
        gate,
        place,
        outcome,
        numbers,
        baseline=baseline,
        reason=_comparison_reason(item, baseline, outcome),
    )


def _is_same_computation(
    result: RunResult,
    baseline: RunResult,
    item: Difference,
) -> bool:
    same = result.manifest.experiment == baseline.manifest.experiment
    return (
        same
        and item.n > 0
        and item.tied == item.n
        and item.baseline_errors == item.candidate_errors
    )


def _comparison_reason(
    item: Difference,
    baseline: RunResult,
    outcome: GateOutcome,
) -> str:
    parts = [
        f"difference {_shown_interval(item.difference, item.low, item.high)} from run {baseline.run_id!r} on {item.n:,} "
        f"case(s): {_MEANING[outcome]}"
    ]
    if outcome is GateOutcome.UNDERPOWERED and item.detectable is not None:
        parts.append(f"they show differences of {item.detectable:.4f} or more")
    for count, side in (
        (item.baseline_errors, "there"),
        (item.candidate_errors, "here"),
    ):
        parts += [f"{count:,} had no score {side}"] if count else []
    return "; ".join(parts)


def _shown_interval(
    estimate: float | None,
    low: float | None,
    high: float | None,
) -> str:
    if estimate is None or low is None or high is None:
        return "unknown" if estimate is None else f"{estimate:.4f}"
    return f"{estimate:.4f} ({low:.4f} to {high:.4f})"


def _make_record(
    gate: Gate,
    place: _Place,
    outcome: GateOutcome = GateOutcome.UNDERPOWERED,
    numbers: tuple[float | None, float | None, float | None] = (None, None, None),
    *,
    baseline: RunResult | None = None,
    reason: str,
) -> GateRecord:
    estimate, low, high = numbers
    return GateRecord(
        gate=gate.text,
        metric_id=gate.metric_id,
        dataset_id=place[0],
        slice=place[1],
        outcome=outcome,
        estimate=estimate,
        low=low,
        high=high,
        baseline=baseline and baseline.run_id,
        reason=reason,
    )
