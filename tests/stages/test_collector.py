"""The outcomes of a shard's rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.stages.test_run_stage import Parser, stage_of
from themis_lib import InMemoryRunStore, TransientError
from themis_lib.errors import AwaitingBatchError
from themis_lib.identity.part import Part
from themis_lib.stages.collector import Collector
from themis_lib.stages.dependencies import Dependencies
from themis_lib.stages.progress import Progress
from themis_lib.storage.shard import Shard

ROWS = 1200


@pytest.fixture
def progress() -> Progress:
    return Progress()


@pytest.fixture
def collector(progress: Progress) -> Collector:
    """A collector of more rows than it keeps as objects."""
    stage = stage_of(Parser())
    store = InMemoryRunStore()
    journal = stage.row_set(store).journal(interval_s=3600)
    keys = pa.array([position.to_bytes(16, "big") for position in range(ROWS)])
    case_ids = pa.chunked_array([[f"c{position}" for position in range(ROWS)]])
    dependencies = Dependencies(stage, store)
    return Collector(stage, dependencies, journal, keys, case_ids, progress)


def record(value: str) -> dict[str, Any]:
    return {"value": value, "format": None, "error": None}


def test_rows_are_kept_in_the_order_they_finish(
    collector: Collector, progress: Progress
) -> None:
    """Also across the tables that they are packed into."""
    for position in reversed(range(ROWS)):
        collector.emit([(position, record(f'"{position}"'))])

    table = collector.take_table()

    assert [f'"{position}"' for position in reversed(range(ROWS))] == table[
        "value"
    ].to_pylist()
    assert ROWS == collector.computed == progress.stages()["parse"].computed


def test_failures_come_last_and_are_summed_up(collector: Collector) -> None:
    """The summary names the cases and the most frequent reason."""
    outcomes: list[Any] = [
        TransientError("busy"),
        record('"x"'),
        TransientError("busy"),
    ]
    collector.emit([*enumerate(outcomes), (3, ValueError("odd"))])
    shard = Shard(index=0, start=0, dataset_id="d", cases=Part(path="", rows=4))

    errors = collector.take_table()["error"].to_pylist()

    assert [
        None,
        "TransientError: busy",
        "TransientError: busy",
        "ValueError: odd",
    ] == errors
    assert collector.transient
    assert (
        "parse d 0-3: 3 row(s) failed (c0, c2, c3), most often TransientError: busy"
        == collector.summary(shard)
    )
    counted = collector.counted(Part(path="", rows=4), cached=0)
    assert (1, 3) == (counted.computed, counted.failed)


def test_shard_waits_if_it_misses_nothing_but_its_batches(collector: Collector) -> None:
    """Then the summary names these; one row that failed is a failure of the shard."""
    shard = Shard(index=0, start=0, dataset_id="d", cases=Part(path="", rows=4))
    open_batches = ["batch_1: in_progress", "batch_2: validating"]
    errors = [AwaitingBatchError(text) for text in open_batches]
    collector.emit([(0, errors[0]), (1, record('"x"')), (2, errors[1]), (3, errors[1])])

    assert collector.waiting
    assert (
        "parse d 0-3: 3 row(s) wait for batch_1: in_progress, batch_2: validating"
        == collector.summary(shard)
    )

    collector.emit([(4, TransientError("busy"))])
    assert not collector.waiting
    assert "4 row(s) failed" in collector.summary(shard)


def test_lone_surrogates_are_escaped(collector: Collector) -> None:
    """No file can hold them."""
    collector.emit([(0, record("\ud800"))])

    assert ["\\ud800"] == collector.take_table()["value"].to_pylist()
