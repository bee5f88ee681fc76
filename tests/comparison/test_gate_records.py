"""The records of gates."""

from __future__ import annotations

from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.gate_records import (
    gate_record,
    interval_text,
    placeless_record,
)
from themis_lib.runs.manifest import GateOutcome


def test_a_record_is_underpowered_unless_it_was_judged() -> None:
    """What was not decided does not pass."""
    record = gate_record(parse_gate("m >= 0.5"), ("d", "all"), reason="why")

    assert GateOutcome.UNDERPOWERED is record.outcome
    assert ("m >= 0.5", "m", "d", "all", "why") == (
        record.gate,
        record.metric_id,
        record.dataset_id,
        record.slice,
        record.reason,
    )


def test_a_gate_without_a_case_keeps_its_place_as_written() -> None:
    """A record names the place that nobody found; a gate without one names none."""
    somewhere = placeless_record(parse_gate("m >= 0.5 on topic=x"), "why")
    everywhere = placeless_record(parse_gate("m >= 0.5"), "why")

    assert ("topic=x", "") == (somewhere.dataset_id, everywhere.dataset_id)


def test_an_interval_is_shown_as_far_as_it_is_known() -> None:
    """A mean of one case has no interval."""
    assert "0.5000" == interval_text((0.5, None, None))
