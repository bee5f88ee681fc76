"""The records of gates: an outcome in a place, with its numbers and reason."""

from __future__ import annotations

from dataclasses import dataclass

from themis_lib.comparison.gate import Gate
from themis_lib.core.option_names import GateBasis
from themis_lib.runs.manifest import (
    GateOutcome,
    GateRecord,
)
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES

#: A dataset and a slice of it.
Place = tuple[str, str]
#: An estimate and the two ends of its interval.
Numbers = tuple[float | None, float | None, float | None]
#: What each outcome means for the numbers before it in a reason.
_MEANING: dict[GateBasis, dict[GateOutcome, str]] = {
    "interval": {
        GateOutcome.PASS: "the whole interval passes",
        GateOutcome.FAIL: "the whole interval fails",
        GateOutcome.UNDERPOWERED: "they cannot tell",
    },
    "mean": {
        GateOutcome.PASS: "it passes by itself, whatever its interval",
        GateOutcome.FAIL: "it fails by itself, whatever its interval",
        GateOutcome.UNDERPOWERED: "there is nothing to tell by",
    },
}


@dataclass(frozen=True)
class GateNumbers:
    """What a gate is decided by, and what it could be for other scores of failed cases.

    `possible` are the least and the greatest estimate, `possible_interval` the ends.
    """

    estimate: float | None
    interval: tuple[float | None, float | None]
    possible: tuple[float | None, float | None]
    possible_interval: tuple[float | None, float | None]

    @property
    def shown(self) -> Numbers:
        """The estimate and the ends of its interval."""
        return (self.estimate, *self.interval)


def judge_numbers(
    gate: Gate,
    numbers: GateNumbers,
    undecided: str | None,
) -> tuple[GateOutcome, str]:
    """Return the outcome of a gate and what it means.

    `undecided` names the cases that are left out and could have any score, if there
    are any: where these decide, the data cannot tell.
    """
    if gate.by == "mean":
        ends = (numbers.estimate, numbers.estimate)
        possible = numbers.possible
    else:
        ends = numbers.interval
        possible = numbers.possible_interval
    outcome = gate.outcome(*ends)
    meaning = _MEANING[gate.by][outcome]
    if undecided is None or outcome is GateOutcome.UNDERPOWERED:
        return outcome, meaning
    if gate.outcome(*possible) is outcome:
        return outcome, meaning
    what = "the interval" if gate.by == "interval" else "it"
    between = "be anything"
    if None not in possible:
        between = f"go from {possible[0]:.4f} to {possible[1]:.4f}"
    # The numbers alone would decide otherwise, which nobody may take from the reason.
    return (
        GateOutcome.UNDERPOWERED,
        f"they cannot tell: with the scores of {undecided}, {what} could {between}",
    )


def interval_text(numbers: Numbers) -> str:
    """Return an estimate and its interval as a reason shows them.

    >>> interval_text((0.5, 0.4, 0.6)), interval_text((None, None, None))
    ('0.5000 (0.4000 to 0.6000)', 'unknown')
    """
    estimate, low, high = numbers
    if estimate is None:
        return "unknown"
    # One case has a mean, but no interval.
    if low is None or high is None:
        return f"{estimate:.4f}"
    return f"{estimate:.4f} ({low:.4f} to {high:.4f})"


def nominal_place(gate: Gate) -> Place:
    """Return the place of a gate as it is written, for where no case is in it."""
    return gate.place or "", ALL_CASES


def placeless_record(
    gate: Gate,
    reason: str,
) -> GateRecord:
    """Return the record of a gate that could not be judged in any place."""
    return gate_record(
        gate,
        nominal_place(gate),
        reason=reason,
    )


def gate_record(
    gate: Gate,
    place: Place,
    outcome: GateOutcome = GateOutcome.UNDERPOWERED,
    *,
    numbers: Numbers = (None, None, None),
    baseline: RunResult | None = None,
    reason: str,
) -> GateRecord:
    """Return the record of a gate in one place.

    Underpowered by default: a gate that could not be judged must not pass.
    """
    estimate, low, high = numbers
    dataset_id, slice_name = place
    return GateRecord(
        gate=gate.text,
        by=gate.by,
        metric_id=gate.metric_id,
        dataset_id=dataset_id,
        slice=slice_name,
        outcome=outcome,
        estimate=estimate,
        low=low,
        high=high,
        baseline=None if baseline is None else baseline.run_id,
        reason=reason,
    )
