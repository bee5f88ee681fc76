"""A clock that is set back, again and again, stalls and breaks nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.support.counted_runs import ran
from themis_lib import RunStatus, RunStore
from themis_lib.runs import manifest
from themis_lib.runs.manifest import manifests


@pytest.fixture
def falling_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock shows an hour less than the one before."""
    start, looks = datetime.now(UTC), count()

    class Falling(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return start - timedelta(hours=next(looks))

    monkeypatch.setattr(manifest, "datetime", Falling)
    monkeypatch.setattr(time, "time", lambda: start.timestamp() - 3600 * next(looks))


@pytest.mark.usefixtures("falling_clock")
def test_runs_end_keep_their_rows_and_their_order(tmp_path: Path) -> None:
    """No run ends before it began, none sorts before an earlier one, rows are found
    again, and no call takes less than no time.
    """
    store = RunStore(str(tmp_path))

    results = [ran(store), ran(RunStore(str(tmp_path)))]
    records = [result.manifest for result in results]

    assert {RunStatus.COMPLETED} == {result.status for result in results}
    assert 0 == results[1].progress["generate"].computed
    for record in records:
        assert record.finished_at is not None
        assert record.started_at < record.finished_at
    assert records[0].finished_at < records[1].started_at
    assert records[0].run_id[:15] <= records[1].run_id[:15]
    assert {record.run_id for record in records} == {
        record.run_id for record in manifests(store)
    }
    for latency_s in results[0].table("outputs")["latency_s"].to_pylist():
        assert latency_s >= 0
