"""`themis run` of a matrix before anything is computed: plan, prompts, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.run import app
from tests.support.counting import CALLS
from tests.support.matrices import MODELS, PARSERS, PROMPTS, matrix_file
from themis_lib import Matrix

CHARGED = {"use": "tests.support.metered:Charged"}


def command(path: Path, *arguments: str) -> Result:
    CALLS.clear()
    return CliRunner().invoke(app, [str(path), *arguments], env={"COLUMNS": "160"})


def rows(result: Result) -> dict[str, list[str]]:
    """The cells of a table that is printed, by the first in each row."""
    found = {}
    for line in result.stdout.splitlines():
        name, *cells = [cell for cell in line.split("  ") if cell.strip()] or [""]
        found[name.strip()] = [cell.strip() for cell in cells]
    return found


def test_plan_counts_rows_that_cells_share_once(tmp_path: Path) -> None:
    """Each cell has its calls, and so have all; nothing is computed."""
    path = matrix_file(tmp_path, {"model": MODELS, "parser": PARSERS})

    result = command(path, "--plan")

    assert 0 == result.exit_code, result.output
    assert {} == CALLS
    assert ["12", "0", "0", "30", "not known"] == rows(result)["m1-x"]
    assert ["0", "0", "12", "30", "—"] == rows(result)["m1-y"]
    assert ["36", "0", "72", "270", "not known"] == rows(result)["all cells"]
    assert "shared: calls that a cell above makes" in result.stdout


def test_plan_has_a_price_for_each_cell_and_for_all(tmp_path: Path) -> None:
    """Calls that another cell pays for cost nothing; without a price it is not known."""
    models = {
        name: {"generation.generator": {**CHARGED, "model": name}} for name in "ab"
    }
    matrix = {"model": models, "evaluation.metrics.0.scale": [1.0, 0.5]}
    prices = {"a": {"input": 100_000, "output": 100_000}}
    path = matrix_file(tmp_path, matrix, cost={"prices": prices})
    first = Matrix.from_config(path).baseline.experiment.limited(1)
    first.run()

    result = command(path, "--plan")

    assert ["10", "2", "0"] == rows(result)["a-scale=1.0"][:3]
    assert "$10.00" == rows(result)["a-scale=1.0"][-1]
    assert "—" == rows(result)["a-scale=0.5"][-1]
    assert "not known" == rows(result)["b-scale=1.0"][-1]
    assert "$10.00 and more" == rows(result)["all cells"][-1]


def test_plan_of_a_warm_store_says_so(tmp_path: Path) -> None:
    """When every row is there, a run computes nothing."""
    path = matrix_file(tmp_path, {"model": MODELS})
    Matrix.from_config(path).run()

    result = command(path, "--plan")

    assert ["0", "36", "0", "0", "—"] == rows(result)["all cells"]
    assert "every row is in the store" in result.stdout


def test_prompts_are_shown_for_each_cell(tmp_path: Path) -> None:
    """`--show` prints the first prompts of each cell below its name."""
    path = matrix_file(tmp_path, {"prompt": PROMPTS})

    result = command(path, "--show", "1")

    assert {} == CALLS
    assert [
        "cell plain",
        "numbers / case-0",
        "[user]",
        "0",
        "cell loud",
        "numbers / case-0",
        "[user]",
        "p",
        "0",
    ] == [line for line in result.stdout.splitlines() if line]


def test_one_cell_is_an_experiment_like_any_other(tmp_path: Path) -> None:
    """`--cell` chooses one; its plan is that of an experiment."""
    path = matrix_file(tmp_path, {"model": MODELS, "prompt": PROMPTS})

    shown = command(path, "--cell", "m2-loud", "--show", "1")
    planned = command(path, "--cell", "m2-loud", "--plan")

    assert shown.stdout.startswith("numbers / case-0")
    assert ["12", "0", "12", "0"] == rows(planned)["generate"]


REFUSED: dict[str, tuple[Any, list[str], str]] = {
    "an unknown cell": (
        {"model": MODELS},
        ["--cell", "m9"],
        "matrix 'costs' has no cell 'm9'; choose one of 'm1', 'm2', 'm3'",
    ),
    "a component that is not there": (
        {"evaluation.metrics.0.use": ["builtin/exact_match", "builtin/exact_mach"]},
        [],
        "did you mean 'builtin/exact_match'?",
    ),
    "a store in memory": (
        {"model": MODELS},
        ["--store", "memory"],
        "storage.store='memory' ends with a run, and the cells of a matrix share",
    ),
    "an unknown metric in a gate": (
        {"model": MODELS},
        ["--gate", "fist >= 0.5"],
        "matrix, cell 'm1': gate 'fist >= 0.5': no metric 'fist'",
    ),
    "a limit of nothing": ({"model": MODELS}, ["--limit", "0"], "limit 0"),
    "a setting of the cells": (
        {"model": MODELS},
        ["generation.generator.model=m4"],
        "the matrix sets 'generation.generator.model' itself",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_one_line_and_exit_code_2(name: str, tmp_path: Path) -> None:
    """Nothing is computed, and no server is started."""
    matrix, arguments, expected = REFUSED[name]

    result = command(matrix_file(tmp_path, matrix), *arguments)

    assert 2 == result.exit_code, result.output
    assert {} == CALLS
    assert 1 == len(result.stderr.strip().splitlines())
    assert expected in result.stderr


def test_cell_of_a_file_without_a_matrix_is_refused(tmp_path: Path) -> None:
    """The message says what the file lacks."""
    path = matrix_file(tmp_path, {"model": MODELS})
    path.write_text(path.read_text().partition("matrix:")[0])

    result = command(path, "--cell", "m1")

    assert (2, f"error: {path}: there is no `matrix:` in it\n") == (
        result.exit_code,
        result.stderr,
    )
