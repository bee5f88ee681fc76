"""`themis tasks`: the catalogue, listed, searched and printed."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from flows.tasks import app
from themis_lib import Experiment
from themis_lib.catalog import load_task, task_names


def printed(*arguments: str, code: int = 0) -> str:
    """Return what the command prints."""
    result = CliRunner().invoke(app, list(arguments))
    assert code == result.exit_code, result.output
    return result.output


def test_all_tasks_are_listed_with_title_and_licence() -> None:
    lines = printed().splitlines()

    heads = [line for line in lines if line and line[0] != " "]
    assert [*task_names(), "run"] == [line.split()[0] for line in heads]
    assert "GSM8K: grade school math word problems (MIT)" in printed("gsm")


def test_a_search_lists_what_has_it_in_name_or_title() -> None:
    found = printed("physical")

    assert "piqa  PIQA: physical commonsense" in found
    assert "gsm8k" not in found


def test_a_name_prints_a_file_that_runs(tmp_path: Path) -> None:
    """It is the task's file, to the letter."""
    copied = tmp_path / "my.yaml"
    copied.write_text(printed("boolq"), encoding="utf-8")

    assert load_task("boolq").text == copied.read_text(encoding="utf-8")
    assert Experiment.from_config(
        copied, overrides=["model=builtin/demo_generator"]
    ).compile()


def test_nothing_found_gives_the_nearest() -> None:
    assert "did you mean 'hellaswag'?" in printed("helaswag", code=2)
