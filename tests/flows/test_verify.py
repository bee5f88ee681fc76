"""`themis verify`: what is shown and written, calls that are asked for, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.verify import app
from tests.support.counting import CALLS, Generator
from tests.support.edited_cells import edit_cell, parts_of
from tests.verification.test_verify import spec
from themis_lib import Experiment, RunResult, TransientError


def verify(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def run(tmp_path: Path) -> RunResult:
    settings = spec(storage={"store": str(tmp_path / "store")})
    settings["datasets"][0]["cases"][2]["case_id"] = "<b>2"
    return Experiment.model_validate(settings).run()


def test_true_run_is_told_with_what_that_proves(run: RunResult) -> None:
    """Exit code 0, and the bound of each stage."""
    result = verify("last", "--store", run.store.url, "--sample", "10")

    assert 0 == result.exit_code, result.output
    assert "nothing that was looked at differs" in result.output
    assert "9 (22.50%)" in result.output


def test_difference_is_shown_and_written(run: RunResult, tmp_path: Path) -> None:
    """Terminal, Markdown and JSON name the same cells; ids are inert. The row that was
    edited is also that of an equal case in another shard.
    """
    edit_cell(run.store, parts_of(run, "reduce")[0], "score", 4, 0.25)
    markdown, record = tmp_path / "v.md", tmp_path / "v.json"

    result = verify(
        *("last", "--store", run.store.url, "--all"),
        *("--markdown", str(markdown), "--json", str(record)),
    )

    assert 1 == result.exit_code, result.output
    found = json.loads(record.read_text())
    cell, shared = [cell for stage in found["stages"] for cell in stage["differences"]]
    assert cell["file"] == shared["file"]
    assert ("<b>2", "score", "0.25") == (
        cell["case_id"],
        cell["column"],
        cell["stored"],
    )
    for text in (result.output, markdown.read_text()):
        assert "2 row(s) differ" in text
        assert "likely cause" in text
        assert cell["file"].rpartition("/")[2] in text
    assert "<b>2" not in markdown.read_text()


def test_calls_are_asked_for_before_they_are_made(tmp_path: Path) -> None:
    """A function of a user's may be paid: without a terminal and --yes, it is not called."""
    settings = spec(storage={"store": str(tmp_path)})
    settings["generation"] = {"generator": {"use": "tests.support.counting:Generator"}}
    for case in settings["datasets"][0]["cases"]:
        case["input"] = str(case["expected_output"])
    Experiment.model_validate(settings).run()
    before = CALLS["generate"]

    refused = verify("last", "--store", str(tmp_path))
    free = verify("last", "--store", str(tmp_path), "--stage", "score")

    assert 2 == refused.exit_code
    assert "generate: 40 calls, price not known" in refused.output
    assert "--yes makes them" in refused.output
    assert 0 == free.exit_code, free.output
    assert before == CALLS["generate"]
    assert "no change found" in verify("last", "--store", str(tmp_path), "--yes").output
    assert before + 40 == CALLS["generate"]


def test_model_that_never_answers_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 6: nothing differs, and nothing is known of the model."""
    settings = spec(storage={"store": str(tmp_path)})
    settings["generation"] = {"generator": {"use": "tests.support.counting:Generator"}}
    for case in settings["datasets"][0]["cases"]:
        case["input"] = str(case["expected_output"])
    Experiment.model_validate(settings).run()

    async def fail(*_: object) -> None:
        raise TransientError("the server is gone")

    monkeypatch.setattr(Generator, "generate", fail)

    result = verify("last", "--store", str(tmp_path), "--stage", "generate", "--yes")

    assert 6 == result.exit_code, result.output
    assert "no call of generate came to anything" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lst",), "did you mean 'last'?"),
        (("last", "--stage", "scor"), "did you mean 'score'?"),
        (("last", "--all", "--sample", "3"), "give one"),
        (("last", "--alpha", "2"), "between 0 and 1"),
    ],
)
def test_wrong_input_is_one_line(
    run: RunResult, arguments: tuple[str, ...], said: str
) -> None:
    """Exit code 2 and one line that names what is wrong."""
    result = verify(*arguments, "--store", run.store.url)

    assert 2 == result.exit_code
    assert said in result.output
    assert "Traceback" not in result.output
