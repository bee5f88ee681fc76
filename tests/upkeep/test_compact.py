"""Compaction makes fewer files of the same rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from flows.store import app
from tests.support.counting import CALLS
from tests.support.drivers import run_in_process
from tests.support.tables import tables_of
from tests.test_edit_costs import base, case
from themis_lib import InMemoryRunStore, RunResult, RunStore, StoreError
from themis_lib.runs.manifest import manifests
from themis_lib.storage.rows import RowSet
from themis_lib.storage.tables import KEY
from themis_lib.upkeep.compact import compact

KEYS = pa.array([b"a" * 16, b"b" * 16], KEY.type)


def grow_one_by_one(folder: Path) -> dict[str, object]:
    spec = base(folder / "store")
    spec["runtime"]["shard_size"] = 4
    for number in range(10, 16):
        spec["datasets"][0]["cases"].append(case(number))
        run_in_process(spec, folder, "")
    return spec


def test_compaction_keeps_every_row(tmp_path: Path) -> None:
    """After compaction there are fewer files, a run computes nothing, and its tables
    are the same.
    """
    spec = grow_one_by_one(tmp_path)
    expected = tables_of(run_in_process(spec, tmp_path, ""))
    store = RunStore(str(tmp_path / "store"))

    done = list(compact(store))
    CALLS.clear()
    after = run_in_process(spec, tmp_path, "")

    assert sum(item.files_after for item in done) < sum(
        item.files_before for item in done
    )
    assert {} == CALLS
    assert expected == tables_of(after)


def test_tables_of_every_run_survive(tmp_path: Path) -> None:
    """Parts that any run refers to stay, and those of runs that were given up are
    merged.
    """
    grow_one_by_one(tmp_path)
    store = RunStore(str(tmp_path / "store"))
    runs = [RunResult(store, manifest.run_id) for manifest in manifests(store)]
    expected = {run.run_id: tables_of(run) for run in runs}

    list(compact(store))

    again = RunStore(store.url)
    for run_id, tables in expected.items():
        assert tables == tables_of(RunResult(again, run_id))
    for run in runs[:-1]:
        for file in again.files(f"runs/{run.run_id}"):
            again.remove(file.path)
    done = list(compact(again))
    assert any(item.files_after < item.files_before for item in done)
    last = runs[-1].run_id
    assert expected[last] == tables_of(RunResult(RunStore(store.url), last))


def test_compaction_merges_rows_of_an_earlier_version() -> None:
    """Rows that lack a column are merged with rows that have it, and read as null."""
    store = InMemoryRunStore()
    directory = "rows/generate/f"
    earlier = pa.schema([("output", pa.string())])
    later = pa.schema([*earlier, ("cache_write_tokens", pa.int64())])
    RowSet(store, directory, earlier).save(
        pa.table([KEYS.slice(0, 1), ["1"]], schema=pa.schema([KEY, *earlier]))
    )
    RowSet(store, directory, later).save(
        pa.table([KEYS.slice(1), ["2"], [7]], schema=pa.schema([KEY, *later]))
    )

    (done,) = compact(store)
    row_set = RowSet(store, directory, later)
    row_set.refresh()
    positions, rows = row_set.find(KEYS)

    assert (2, 1, 2) == (done.files_before, done.files_after, done.rows)
    assert [0, 1] == positions.tolist()
    assert [None, 7] == rows["cache_write_tokens"].to_pylist()
    assert ["1", "2"] == rows["output"].to_pylist()


def test_compaction_twice_changes_nothing(tmp_path: Path) -> None:
    """A store that was compacted stays as it is when it is compacted again."""
    grow_one_by_one(tmp_path)
    store = RunStore(str(tmp_path / "store"))
    list(compact(store))
    before = {
        path: path.read_bytes() for path in (tmp_path / "store/rows").rglob("*.parquet")
    }

    list(compact(RunStore(str(tmp_path / "store"))))

    assert before == {
        path: path.read_bytes() for path in (tmp_path / "store/rows").rglob("*.parquet")
    }


def test_unreadable_record_of_a_run_stops_it(tmp_path: Path) -> None:
    """Nobody knows which parts that run refers to: none is removed."""
    grow_one_by_one(tmp_path)
    store = RunStore(str(tmp_path / "store"))
    (first, *_) = manifests(store)
    store.replace(f"runs/{first.run_id}/manifest.json", b"{")
    before = [file.path for file in store.files("rows")]

    with pytest.raises(StoreError, match=first.run_id):
        list(compact(store))

    assert before == [file.path for file in store.files("rows")]


@pytest.mark.parametrize(("name", "code"), [("store", 0), ("nowhere", 2)])
def test_command(name: str, code: int, tmp_path: Path) -> None:
    """`python -m flows.store compact` says how many files there were and are; a folder
    without rows is bad input.
    """
    grow_one_by_one(tmp_path)

    result = CliRunner().invoke(app, ["compact", str(tmp_path / name)])

    assert code == result.exit_code, result.output
    assert ("files before" in result.stdout) is (code == 0)
