"""`themis import`: what it prints, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.importing import app
from tests.support.eval_logs import INSPECT, LM_EVAL, PROMPTFOO
from themis_lib.runs.find_run import find_run
from themis_lib.storage.store import open_store


def shown(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return f"{result.exit_code}\n{result.output}"


def test_logs_of_several_tools_become_runs(tmp_path: Path) -> None:
    """Each is printed with its scores, its tool and its report."""
    text = shown(INSPECT, LM_EVAL, PROMPTFOO, "--store", tmp_path)

    lines = text.splitlines()
    assert "0" == lines[0]
    reports = [line.split()[1] for line in lines if line.startswith("report ")]
    assert [True] * 4 == [Path(report).exists() for report in reports]
    assert 1 == text.count("imported: inspect_ai 0.3.285")
    assert 2 == text.count("imported: promptfoo 0.120.0")


def test_file_is_not_imported_twice(tmp_path: Path) -> None:
    """The second time, it says so."""
    shown(INSPECT, "--store", tmp_path)

    assert "imported before: inspect_ai" in shown(INSPECT, "--store", tmp_path)
    assert 1 == len(open_store(str(tmp_path)).list("runs"))


def test_name_dataset_scores_and_columns_can_be_others(tmp_path: Path) -> None:
    """So that the run pairs with one of the user's own."""
    options = ["--name", "theirs", "--dataset", "sums"]
    options += ["--metric", "exact_match,strict-match=strict"]
    options += ["--column", "input=question", "--column", "metadata=level"]

    text = shown(LM_EVAL, "--store", tmp_path, *options)

    assert text.startswith("0\n")
    run = find_run(open_store(str(tmp_path)), "theirs")
    (first, *_) = run.cases
    assert ("sums", "What is 12 + 7?", {"level": "easy"}) == (
        first.dataset_id,
        first.case.input,
        first.case.metadata,
    )
    assert {"strict", "exact_match,flexible-extract"} == set(first.scores)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((__file__,), "error: "),
        (("none.eval",), "no file 'none.eval'"),
        ((INSPECT, "--metric", "match"), "--metric 'match': write SCORE=ID"),
        ((INSPECT, "--column", "input="), "--column 'input=': write PART=COLUMN"),
        ((INSPECT, "--column", "input=nothing"), "no column 'nothing'"),
        ((INSPECT, "--store", "memory"), "give a folder"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, arguments: tuple[object, ...], reason: str
) -> None:
    """With exit code 2, and nothing in the store."""
    text = shown("--store", tmp_path, *arguments)

    assert text.startswith("2\nerror: ")
    assert reason in text
    assert 2 == len(text.splitlines())
    assert not (tmp_path / "runs").exists()
