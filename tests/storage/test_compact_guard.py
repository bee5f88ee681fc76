"""Versions without parts of runs compact no store whose runs refer to parts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.counted_runs import ran, with_cases
from tests.support.counting import CALLS
from tests.support.earlier_compact import compact_as_earlier
from tests.support.stores import OpenStore
from tests.support.tables import tables_of
from themis_lib import RunResult, RunStore
from themis_lib.storage.compact_guard import GUARD
from themis_lib.upkeep.check import check
from themis_lib.upkeep.compact import compact


def grown(store: RunStore) -> list[RunResult]:
    """Two runs: in the second, the first one's last shard has more cases."""
    return [
        ran(store, with_cases(7), runtime__shard_size=4),
        ran(store, with_cases(7, 8), runtime__shard_size=4),
    ]


def test_earlier_version_is_stopped_before_it_removes_anything(tmp_path: Path) -> None:
    """Also in a copy of the store, once a run has ended there: the error names the file."""
    store = RunStore(str(tmp_path / "store"))
    grown(store)
    os.utime(store.locate(GUARD))
    grown(store)
    before = store.files()

    with pytest.raises(NotADirectoryError, match="update-themis-flows-to-compact"):
        compact_as_earlier(RunStore(store.url))

    assert before == store.files()


def test_this_version_is_not_stopped(tmp_path: Path) -> None:
    """The file is none of rows, and stays where it is."""
    store = RunStore(str(tmp_path / "store"))
    grown(store)

    list(compact(RunStore(store.url)))

    assert store.exists(GUARD)
    assert [] == list(check(RunStore(store.url)))


def test_what_an_earlier_version_removed_comes_back(open_store: OpenStore) -> None:
    """Where nothing stops it, it keeps each row by key: nothing is computed again."""
    runs = grown(open_store())
    expected = [tables_of(run) for run in runs]
    open_store().remove(GUARD)
    compact_as_earlier(open_store())
    assert list(check(open_store()))
    CALLS.clear()

    grown(open_store())

    assert {} == CALLS
    assert expected == [tables_of(RunResult(open_store(), run.run_id)) for run in runs]
    assert [] == list(check(open_store()))
