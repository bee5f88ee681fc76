"""`themis label`: pages, imports, the status, and mistakes in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.label import app
from tests.support.compared_runs import StatedScore, run_of, scored
from tests.support.labelling import give_labels, judged_run
from tests.support.terminal import shown_in_terminal
from themis_lib import LabelSession, RunResult, RunStore


@pytest.fixture
def run(tmp_path: Path) -> RunResult:
    return judged_run(RunStore(str(tmp_path / "store")))


def asked(folder: Path, *arguments: str) -> Result:
    store = ["--store", str(folder / "store")]
    return CliRunner().invoke(app, [*arguments, *store], env={"COLUMNS": "200"})


def test_a_page_is_written(run: RunResult, tmp_path: Path) -> None:
    """`--html` writes a page of the items, with the name that was given."""
    page = tmp_path / "label.html"

    result = asked(tmp_path, "last", "--html", str(page), "--count", "4")

    assert 0 == result.exit_code, result.output
    assert f"written to {page}" in result.stdout
    assert "4 items to label" in page.read_text()


def test_status(run: RunResult, tmp_path: Path) -> None:
    """`--status` counts labels, and has a row for each person and each two."""
    give_labels(run, 3, labeller="ana")
    give_labels(run, 2, labeller="ben", value=lambda item: 0.0)

    result = asked(tmp_path, "last", "--status")

    assert 0 == result.exit_code, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert (
        f"correct of run {run.run_id}: 3 of 6 items labelled, 3 of them as a"
        in lines[0]
    )
    assert any(line.startswith("ana 3 0 0 20") for line in lines)
    assert "ana, ben 2 0.000 0.000 —" in lines


MISTAKES = {
    "an unknown run": (["lst"], "has no run 'lst'"),
    "an unknown metric": (["last", "--metric", "corect"], "did you mean 'correct'"),
    "no name": (["last", "--labeller", "", "--html", "x.html"], "labeller ''"),
    "a missing file": (["last", "--import", "none.json"], "none.json cannot be read"),
    "two things at once": (
        ["last", "--status", "--html", "x.html"],
        "write one of them",
    ),
    "a page that cannot be written": (
        ["last", "--html", "no/such/folder.html"],
        "cannot be written",
    ),
    "no terminal": (["last"], "needs a terminal"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(mistake: str, run: RunResult, tmp_path: Path) -> None:
    """A mistake is one line that says what to write, and exit code 2."""
    arguments, message = MISTAKES[mistake]

    result = asked(tmp_path, *arguments)

    assert 2 == result.exit_code, result.output
    assert message in result.stderr
    assert 1 == len(result.stderr.splitlines())


def test_several_metrics_need_a_name(tmp_path: Path) -> None:
    """Where several metrics could be meant, the line names them."""
    metrics = {"m": StatedScore(), "n": StatedScore()}
    run_of(RunStore(str(tmp_path / "store")), scored([1, 0]), metrics=metrics)

    result = asked(tmp_path, "last", "--status")

    assert "name one: 'm', 'n'" in result.stderr


def test_textual_is_named_where_it_is_missing(run: RunResult, tmp_path: Path) -> None:
    """Without the extra there is one line that names it; a page needs none."""
    program = (
        "import sys; sys.modules['textual'] = None\n"
        "import importlib.util as util; found = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'textual' else found(name)\n"
        "from flows.label import app; app()"
    )
    store = str(tmp_path / "store")

    text = shown_in_terminal(
        [sys.executable, "-c", program, "last", "--store", store],
        cwd=Path.cwd(),
        env=os.environ,
        columns=200,
    )

    assert "pip install 'themis-flows[label]'" in text


def test_nothing_left_to_label(run: RunResult, tmp_path: Path) -> None:
    """Where all of `--count` is labelled, the terminal says how to label more."""
    session = LabelSession.of(run, labeller="ana", count=2)
    session.give("correct")
    session.give("correct")
    command = ["last", "--labeller", "ana", "--count", "2"]

    text = shown_in_terminal(
        [
            sys.executable,
            "-m",
            "flows.label",
            *command,
            "--store",
            str(tmp_path / "store"),
        ],
        cwd=Path.cwd(),
        env=os.environ,
        columns=200,
    )

    assert "0 labelled now, 2 of 2 in all as 'ana'; `--count` labels more of 6" in text
