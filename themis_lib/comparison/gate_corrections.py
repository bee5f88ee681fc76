"""The outcomes of gates on a corrected mean: `corrected(METRIC) >= 0.8`."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.comparison.gate import Gate
from themis_lib.comparison.gate_records import (
    GateNumbers,
    Place,
    gate_record,
    interval_text,
    judge_numbers,
)
from themis_lib.errors import ConfigError
from themis_lib.labels.corrected_scores import (
    CorrectedScore,
    corrected_scores,
    few_labels_text,
    no_labels_text,
)
from themis_lib.runs.manifest import GateRecord
from themis_lib.runs.results import RunResult, SummaryRow


def judge_corrected(
    result: RunResult,
    gate: Gate,
    rows: Sequence[SummaryRow],
) -> list[GateRecord]:
    """Judge a gate by the corrected means of these rows of the summary.

    A gate without labels, or with few, is underpowered and says how to label.
    """
    found: dict[Place, CorrectedScore] = {}
    missing = no_labels_text(result, gate.metric_id)
    try:
        for item in corrected_scores(result, gate.metric_id):
            found[item.dataset_id, item.slice] = item
    except ConfigError as error:
        # The run has ended and keeps its results: what cannot be judged is a record.
        missing = str(error)
    records = []
    for row in rows:
        place = (row.dataset_id, row.slice)
        corrected = found.get(place)
        if corrected is None or not corrected.labels:
            records.append(gate_record(gate, place, reason=missing))
        else:
            records.append(_judge_place(result, gate, row, corrected))
    return records


def _judge_place(
    result: RunResult,
    gate: Gate,
    row: SummaryRow,
    item: CorrectedScore,
) -> GateRecord:
    numbers = GateNumbers(
        estimate=item.mean,
        interval=(item.low, item.high),
        possible=(item.least, item.greatest),
        possible_interval=(item.possible_low, item.possible_high),
    )
    shown = (
        f"corrected mean {interval_text(numbers.shown)} from {item.labels:,} label(s) on "
        f"{item.n:,} case(s), raw {interval_text((row.mean, row.low, row.high))}"
    )
    place = (row.dataset_id, row.slice)
    if not item.is_enough:
        reason = f"{shown}; {few_labels_text(result, gate.metric_id, item.labels)}"
        return gate_record(gate, place, numbers=numbers.shown, reason=reason)
    undecided = None
    if row.undecided:
        undecided = f"the {row.undecided:,} case(s) that are left out"
    outcome, meaning = judge_numbers(gate, numbers, undecided)
    return gate_record(
        gate,
        place,
        outcome,
        numbers=numbers.shown,
        reason=f"{shown}: {meaning}",
    )
