"""The tables of a run as plain Parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.stored.experiments import FOLDER
from tests.support.counted_runs import counted_experiment, ran
from themis_lib import ConfigError, InMemoryRunStore, RunResult, RunStore, StoreError
from themis_lib.runs.export import export_tables
from themis_lib.runs.manifest import RunStatus, manifests
from themis_lib.storage.tables import RUN_TABLES


def test_files_are_the_tables(tmp_path: Path) -> None:
    """A file for each table, a row group for each shard, and nothing beside them."""
    run = ran(InMemoryRunStore())

    written = export_tables(run, tmp_path / "new" / "folder")

    names = ["cases", "outputs", "answers", "scores", "results", "summary"]
    assert names == [path.stem for path in written]
    assert sorted(written) == sorted((tmp_path / "new/folder").iterdir())
    for path in written:
        table = pq.read_table(path)
        assert table.equals(run.table(path.stem))
        assert RUN_TABLES[path.stem].equals(table.schema)
    assert 3 == pq.ParquetFile(written[0]).num_row_groups


def test_runs_of_earlier_versions_have_todays_columns(tmp_path: Path) -> None:
    """The files of an earlier version are exported under the names of today."""
    store = RunStore(str(FOLDER / "store"))
    run_id = next(
        run.run_id for run in manifests(store) if run.name == "own components"
    )

    export_tables(RunResult(store, run_id), tmp_path)

    assert (
        RUN_TABLES["scores"].names == pq.read_schema(tmp_path / "scores.parquet").names
    )


def test_export_replaces_an_earlier_one(tmp_path: Path) -> None:
    """The same folder holds the tables of the run that was exported last, and no other."""
    store = InMemoryRunStore()
    export_tables(ran(store), tmp_path)
    until = counted_experiment().run(store, until_stage="parse")

    written = export_tables(until, tmp_path)

    assert sorted(written) == sorted(tmp_path.iterdir())
    assert "scores" not in {path.stem for path in written}
    assert pq.read_table(tmp_path / "summary.parquet").equals(until.table("summary"))


def test_stopped_run_and_bad_folder_are_refused(tmp_path: Path) -> None:
    """A run without tables says why it has none, and a file is no folder."""
    run = ran(InMemoryRunStore())
    stopped = run.manifest.model_copy(
        update={"status": RunStatus.FAILED, "error": "interrupted"}
    )
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="has no tables: interrupted; export"):
        export_tables(RunResult(run.store, run.run_id, stopped), tmp_path)
    with pytest.raises(ConfigError, match=r"file' is no folder to write to: File"):
        export_tables(run, tmp_path / "file")
