"""`python -m flows.report`, and the page that a run leaves beside its tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.report import app
from tests.support.drivers import run_in_process, run_through_flow
from tests.test_edit_costs import base
from themis_lib import RunResult
from themis_lib.report.html import report_html


@pytest.fixture
def result(tmp_path: Path) -> RunResult:
    return run_in_process({**base(tmp_path / "store"), "name": "told"}, tmp_path, "")


def report(result: RunResult, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--store", result.store.url])


def test_page_is_written_beside_the_tables(result: RunResult) -> None:
    """Without more said it is the page, in the run's folder, and its address is
    printed.
    """
    done = report(result, "told")

    assert (0, f"{result.location}/report.html\n") == (done.exit_code, done.stdout)
    assert report_html(result) == Path(done.stdout.strip()).read_text(encoding="utf-8")


def test_output_names_the_file(result: RunResult, tmp_path: Path) -> None:
    """A page can go anywhere."""
    done = report(result, "last", "--output", str(tmp_path / "page.html"))

    assert 0 == done.exit_code
    assert report_html(result) == (tmp_path / "page.html").read_text(encoding="utf-8")


def test_tables_are_printed(result: RunResult) -> None:
    """CSV has every digit of the summary, LaTeX and Markdown the numbers that people
    read.
    """
    rows = list(
        csv.DictReader(io.StringIO(report(result, "told", "--format", "csv").stdout))
    )
    latex = report(result, "told", "--format", "latex").stdout
    markdown = report(result, "told", "--format", "markdown").stdout

    assert [repr(row.mean) for row in result.summary] == [row["mean"] for row in rows]
    assert f"{result.summary[0].mean:.4f}" in latex
    assert "\\toprule" in latex
    assert markdown.startswith("# told: completed")


def test_a_wrong_name_is_told(result: RunResult) -> None:
    """One line with the nearest name, and exit code 2."""
    done = report(result, "tld")

    assert 2 == done.exit_code
    assert "did you mean 'told'?" in done.stderr


def test_an_output_that_cannot_be_written_is_told(result: RunResult) -> None:
    """One line that names the file, and exit code 2."""
    done = report(result, "told", "--output", "/no/such/folder/page.html")

    assert 2 == done.exit_code
    assert "'/no/such/folder/page.html' cannot be written" in done.stderr


def test_the_flow_leaves_a_page(prefect_api: str, tmp_path: Path) -> None:
    """A run on Prefect whose store is on disk ends with its page beside the tables."""
    result = run_through_flow(base(tmp_path / "store"), tmp_path, prefect_api)

    assert report_html(result).encode() == result.store.read_bytes(
        f"runs/{result.run_id}/report.html"
    )
