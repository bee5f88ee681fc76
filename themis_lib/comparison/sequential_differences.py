"""Differences of runs that stopped when they were decided.

An interval or a p-value for a number of cases that was fixed before does not keep its
level where the scores decided how many there are. Where the run's own test was of the
same difference, its confidence sequence takes their place; else a note says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.comparison.models import Conclusion, Difference
from themis_lib.comparison.run_pair import RunPair
from themis_lib.comparison.sequential_text import stopped_note
from themis_lib.runs.sequential import (
    CONFIDENCE_SEQUENCE,
    SequentialQuestion,
    Verdict,
)
from themis_lib.runs.summary import ALL_CASES

_CONCLUSIONS: dict[Verdict, Conclusion] = {
    "better": "better",
    "worse": "worse",
    "same": "same",
}


def with_sequences(
    pairs: Sequence[RunPair],
    differences: Sequence[Difference],
) -> list[Difference]:
    """Return the differences, those that a run tested itself as it decided them."""
    baselines = {pair.after.run_id: pair.before.run_id for pair in pairs}
    tested: dict[tuple[str, str, str], SequentialQuestion] = {}
    for pair in pairs:
        sequential = pair.candidate.manifest.sequential
        for item in sequential.questions if sequential else ():
            is_compared = item.baseline == baselines[pair.after.run_id]
            if is_compared and item.gate is None and item.last is not None:
                tested[pair.after.run_id, item.dataset_id, item.metric_id] = item
    changed = []
    for difference in differences:
        place = (difference.run_id, difference.dataset_id, difference.metric_id)
        if difference.slice == ALL_CASES and place in tested:
            difference = _as_decided(difference, tested[place])
        changed.append(difference)
    return changed


def stopped_notes(
    pairs: Sequence[RunPair],
    differences: Sequence[Difference],
) -> list[str]:
    """Return a note on each run that stopped early and is compared in another way."""
    notes: dict[str, None] = {}
    fixed = {
        item.run_id
        for item in differences
        if item.interval_method != CONFIDENCE_SEQUENCE
    }
    for pair in pairs:
        if pair.after.run_id not in fixed:
            continue
        for run in (pair.baseline, pair.candidate):
            note = stopped_note(run.manifest)
            if note is not None:
                notes[note] = None
    return list(notes)


def _as_decided(
    difference: Difference,
    item: SequentialQuestion,
) -> Difference:
    look = item.looks[-1]
    return difference.model_copy(
        update={
            "low": look.low,
            "high": look.high,
            "possible_low": look.low,
            "possible_high": look.high,
            "standard_error": None,
            "interval_method": CONFIDENCE_SEQUENCE,
            "test": f"betting, E = {look.e_value:.3g}",
            "p_value": None,
            "p_adjusted": None,
            "conclusion": _CONCLUSIONS.get(item.verdict, "cannot tell"),
        }
    )
