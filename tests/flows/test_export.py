"""`python -m flows.export`: the tables of a run as files."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows.export import app
from tests.support.drivers import run_in_process
from tests.test_edit_costs import base
from themis_lib import RunResult
from themis_lib.upkeep.check import check


@pytest.fixture
def result(tmp_path: Path) -> RunResult:
    return run_in_process({**base(tmp_path / "store"), "name": "told"}, tmp_path, "")


def export(result: RunResult, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--store", result.store.url])


def test_tables_are_written_beside_the_record(result: RunResult) -> None:
    """Their addresses are printed, and the store is as good as before."""
    done = export(result, "last")

    assert 0 == done.exit_code, done.output
    assert f"{result.location}/scores.parquet" in done.stdout.split()
    for line in done.stdout.splitlines():
        assert pq.read_table(line).equals(result.table(Path(line).stem))
    assert [] == list(check(result.store))


def test_output_names_the_folder(result: RunResult, tmp_path: Path) -> None:
    """A table can go anywhere."""
    done = export(result, "told", "--output", str(tmp_path / "tables"))

    assert 0 == done.exit_code, done.output
    assert (tmp_path / "tables/cases.parquet").exists()


def test_wrong_input_is_told(result: RunResult, tmp_path: Path) -> None:
    """A run that is not there, a file in place of a folder, and a store without one."""
    (tmp_path / "file").write_text("")
    for arguments, said in {
        ("tolld",): "did you mean 'told'?",
        ("told", "--output", str(tmp_path / "file")): "is no folder to write to",
    }.items():
        done = export(result, *arguments)
        assert (2, 1) == (done.exit_code, len(done.stderr.splitlines())), done.output
        assert said in done.stderr


def test_run_that_is_elsewhere_needs_a_folder(result: RunResult) -> None:
    """Next to a record in memory or a bucket there is no folder of this disk."""
    url = "memory://exported"
    run = run_in_process(
        {**base(Path("unused")), "storage": {"store": url}}, Path("unused"), ""
    )

    done = CliRunner().invoke(app, [run.run_id, "--store", url])

    assert 2 == done.exit_code
    assert "--output FOLDER" in done.stderr
