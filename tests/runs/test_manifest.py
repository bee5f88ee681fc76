"""A run's record: money, gates, and what is read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from themis_lib import InMemoryRunStore, Price, RunStatus, StoreError, TokenUsage
from themis_lib.runs.inventory import runs_in
from themis_lib.runs.manifest import (
    GateOutcome,
    GateRecord,
    Manifest,
    StageRecord,
    manifests,
    new_run_id,
    read_manifest,
    worst_outcome,
    write_manifest,
)
from themis_lib.upkeep.check import check

PRICE = Price(input=1.0, output=2.0)


def manifest(**fields: Any) -> Manifest:
    known: dict[str, Any] = {
        "run_id": "20260101-000000-aaaaaa",
        "name": "n",
        "status": RunStatus.COMPLETED,
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "experiment": "e",
        "seeds": [0],
        "until_stage": "reduce",
    }
    return Manifest(**{**known, **fields})


def stage(name: str, **fields: Any) -> StageRecord:
    return StageRecord(stage=name, fingerprint="f", identity={}, **fields)


def test_cost_is_of_all_rows_and_paid_of_the_computed() -> None:
    """What the store had is saved."""
    record = manifest(
        stages=[
            stage(
                "generate",
                price=PRICE,
                is_paid=True,
                usage=TokenUsage(input_tokens=3_000_000),
                usage_computed=TokenUsage(input_tokens=1_000_000),
            )
        ]
    )

    assert (3.0, 1.0, 2.0) == (record.cost, record.cost_paid, record.cost_saved)
    assert [] == record.unpriced


def test_stage_without_a_price_is_named() -> None:
    """A sum that leaves a paid stage out says so."""
    record = manifest(
        stages=[stage("generate", is_paid=True, usage=TokenUsage(input_tokens=1))]
    )

    assert record.cost is None
    assert record.cost_saved is None
    assert ["generate"] == record.unpriced


def gate(outcome: GateOutcome) -> GateRecord:
    return GateRecord(
        gate="m >= 0.8",
        metric_id="m",
        dataset_id="d",
        slice="all",
        outcome=outcome,
        estimate=None,
        low=None,
        high=None,
        reason="",
    )


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], None),
        ([GateOutcome.PASS], GateOutcome.PASS),
        ([GateOutcome.PASS, GateOutcome.UNDERPOWERED], GateOutcome.UNDERPOWERED),
        (
            [GateOutcome.UNDERPOWERED, GateOutcome.FAIL, GateOutcome.PASS],
            GateOutcome.FAIL,
        ),
    ],
)
def test_worst_outcome_wins(
    outcomes: list[GateOutcome], expected: GateOutcome | None
) -> None:
    """Fail is worse than underpowered, and that worse than pass."""
    assert expected == worst_outcome([gate(outcome) for outcome in outcomes])


def test_record_is_read_as_it_was_written() -> None:
    """Every field survives the file."""
    store = InMemoryRunStore()
    record = manifest(
        stages=[stage("generate", price=PRICE)], gates=[gate(GateOutcome.PASS)]
    )

    write_manifest(store, record)

    assert record == read_manifest(store, record.run_id)


def test_records_are_in_the_order_of_the_runs() -> None:
    """Also those of one second, whose ids do not tell."""
    store = InMemoryRunStore()
    started = {
        "aaaaaa": "09:30:00.300",
        "bbbbbb": "09:30:00.100",
        "cccccc": "09:30:00.200",
    }
    for digits, time in started.items():
        changes = {
            "run_id": f"20260101-093000-{digits}",
            "started_at": f"2026-01-01T{time}+00:00",
        }
        write_manifest(store, manifest().model_copy(update=changes))

    digits_in_order = [record.run_id[-6:] for record in manifests(store)]

    assert ["bbbbbb", "cccccc", "aaaaaa"] == digits_in_order


def test_damaged_record_is_left_out_of_the_list() -> None:
    """It is an error to read it by name, and no reason to lose the others."""
    store = InMemoryRunStore()
    write_manifest(store, manifest())
    store.replace("runs/broken/manifest.json", b"{")

    assert ["20260101-000000-aaaaaa"] == [record.run_id for record in manifests(store)]
    with pytest.raises(StoreError, match="the record of run 'broken' is damaged"):
        read_manifest(store, "broken")
    with pytest.raises(StoreError, match="has no run 'missing'"):
        read_manifest(store, "missing")


@pytest.mark.parametrize("later", [{"orbit": 1}, {"tables": "columns"}])
def test_record_of_a_later_version_is_not_called_damaged(later: dict[str, Any]) -> None:
    """Who believes that it is damaged may remove the run."""
    store = InMemoryRunStore()
    record = manifest().model_dump(mode="json") | later
    store.replace("runs/later/manifest.json", json.dumps(record).encode())

    [field] = later
    expected = f"runs/later/manifest.json is of a later version .* has {field}; update"
    with pytest.raises(StoreError, match=expected):
        read_manifest(store, "later")
    with pytest.raises(StoreError, match=expected):
        runs_in(store, store.files())
    [problem] = check(store)
    assert "keep the run" in problem.advice


def test_run_ids_differ() -> None:
    """Also of runs that start in the same second."""
    assert 50 == len({new_run_id() for _ in range(50)})
