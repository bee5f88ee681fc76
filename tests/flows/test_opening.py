"""How every command that reads a store is told of one, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from flows import compare, report, runs, store, why
from tests.support.drivers import run_in_process
from tests.support.table_files import with_table_files
from tests.test_edit_costs import base

COMMANDS = [
    (compare.app, ["last", "last", "--store"]),
    (report.app, ["last", "--store"]),
    (runs.app, ["--store"]),
    (store.app, ["check"]),
    (why.app, ["last", "1", "--store"]),
]


@pytest.mark.parametrize(("app", "arguments"), COMMANDS)
def test_a_place_without_runs_is_told(
    app: typer.Typer, arguments: list[str], tmp_path: Path
) -> None:
    """One line, exit code 2, and nothing is made there."""
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "none")])

    assert (2, 1) == (done.exit_code, len(done.stderr.splitlines())), done.output
    assert f"store '{tmp_path / 'none'}' has no rows and no runs" in done.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("app", "arguments"), COMMANDS)
def test_an_option_without_a_value_is_told(
    app: typer.Typer, arguments: list[str], tmp_path: Path
) -> None:
    """Every command takes options of the filesystem, and names one that is
    malformed.
    """
    done = CliRunner().invoke(app, [*arguments, str(tmp_path), "--option", "anon"])

    assert 2 == done.exit_code, done.output
    assert "--option 'anon': write key=value" in done.stderr


def test_an_option_that_is_not_yaml_is_told_without_its_value(tmp_path: Path) -> None:
    """The parser's own message would quote the value, which may be a credential."""
    done = CliRunner().invoke(
        runs.app, ["--store", str(tmp_path), "--option", "secret=[hunter2"]
    )

    assert (2, 1) == (done.exit_code, len(done.stderr.splitlines())), done.output
    assert "--option 'secret': the value is not YAML" in done.stderr
    assert "hunter2" not in done.output


@pytest.mark.parametrize("form", ["html", "markdown", "csv", "latex"])
def test_a_damaged_table_is_told(form: str, tmp_path: Path) -> None:
    """One line that names the command which looks at every file, and exit code 2."""
    result = with_table_files(
        run_in_process({**base(tmp_path / "store"), "name": "told"}, tmp_path, "")
    )
    for path in Path(result.location).glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:40])

    done = CliRunner().invoke(
        report.app, ["told", "--store", result.store.url, "--format", form]
    )

    assert (2, 1) == (done.exit_code, len(done.stderr.splitlines())), done.output
    assert "`themis store check` looks at every one" in done.stderr
