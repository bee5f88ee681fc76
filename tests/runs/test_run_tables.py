"""Tables of a run under today's column names, also those of an earlier version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.runs.test_run import experiment
from tests.stored.experiments import FOLDER
from themis_lib import InMemoryRunStore, RunResult, RunStore
from themis_lib.runs.manifest import manifests
from themis_lib.runs.run_tables import RunTableFile, open_table_file
from themis_lib.storage.tables import RUN_TABLES

STORED = RunStore(str(FOLDER / "store"))


@pytest.fixture
def scores() -> RunTableFile:
    """The scores of a run that version 0.1.0 wrote, when their column was `value`."""
    run = next(run for run in manifests(STORED) if run.name == "own components")
    file = open_table_file(STORED, run.run_id, "scores")
    assert file is not None
    return file


def test_earlier_tables_have_todays_names(scores: RunTableFile) -> None:
    """What was `value` is read as `score`."""
    path = Path(STORED.root) / "runs"
    stored = next(path.glob("*/scores.parquet"))

    assert "value" in pq.read_schema(stored).names
    assert "score" in scores.read().column_names
    assert "value" not in scores.read().column_names


def test_columns_rows_and_groups_agree(scores: RunTableFile) -> None:
    """The same numbers, however they are read."""
    whole = scores.read(["metric_id", "score"])
    chosen = scores.read(["score"], where=pc.field("metric_id") == "exact_match")
    groups = scores.read_groups(range(len(scores.group_sizes)), ["metric_id", "score"])

    assert whole.equals(groups)
    assert sum(scores.group_sizes) == whole.num_rows
    expected = whole.filter(pc.equal(whole["metric_id"], "exact_match"))["score"]
    assert expected.to_pylist() == chosen["score"].to_pylist()


def test_earlier_runs_are_read_as_results() -> None:
    """Cases, scores and summary of every run of the earlier version."""
    for manifest in manifests(STORED):
        run = RunResult(STORED, manifest.run_id)
        assert len(run.cases) == run.table("cases").num_rows
        for case in run.cases:
            assert set(case.scores) <= {row.metric_id for row in run.summary}


def test_column_that_a_table_lacks_is_null() -> None:
    """A table that was written before a column existed is read with nulls in it."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"dataset_id": ["d"], "mean": [0.5]}), sink)

    file = RunTableFile("summary", pa.BufferReader(sink.getvalue()))

    for table in (file.read(), file.read_groups([0])):
        (row,) = table.to_pylist()
        assert RUN_TABLES["summary"].names == table.column_names
        assert ("d", 0.5, None) == (row["dataset_id"], row["mean"], row["clusters"])


def test_table_that_was_never_written_is_none() -> None:
    """A run that stopped before has no file."""
    assert open_table_file(InMemoryRunStore(), "run", "scores") is None


@pytest.mark.parametrize("url", ["folder", "memory://run-tables"])
def test_arrow_reads_a_table_without_python(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its threads may be at work while Python ends, and would abort the process."""
    sources = []
    opened = pq.ParquetFile

    def noted(source: Any, **settings: Any) -> pq.ParquetFile:
        sources.append(source)
        return opened(source, **settings)

    store = RunStore(url if "://" in url else str(tmp_path / url))
    run = experiment(metrics=["builtin/exact_match"]).run(store)
    monkeypatch.setattr(pq, "ParquetFile", noted)

    assert 1 == run.table("summary").num_rows
    assert 1 == RunResult(RunStore(store.url), run.run_id).table("scores").num_rows
    assert sources
    assert {pa.OSFile, pa.BufferReader} >= set(map(type, sources))
