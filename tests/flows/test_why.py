"""`python -m flows.why`: what it shows of a case, and how it refuses what it cannot
explain.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.why import app
from tests.support.counted_runs import ran
from tests.test_edit_costs import base, case
from themis_lib import RunResult, RunStore

_STAGES = ("generate ", "parse ", "score[", "reduce ")


def asked(*arguments: str, columns: int = 80) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)})


@pytest.fixture
def runs(tmp_path: Path) -> list[RunResult]:
    """Two runs of one experiment on a store on disk, the second with another prompt."""
    store = RunStore(str(tmp_path))
    return [ran(store), ran(store, generation__prompt_spec__prefix="p")]


def test_case_is_shown_through_every_stage(
    runs: list[RunResult], tmp_path: Path
) -> None:
    """Each stage in order: what changed, what each row read and gave, its key and its
    file.
    """
    result = asked("last", "case-3", "--sample", "1", "--store", str(tmp_path))

    lines = result.stdout.splitlines()
    assert 0 == result.exit_code, result.output
    assert f"case case-3 of numbers in run {runs[1].run_id} of costs" == lines[0]
    assert f"compared with run {runs[0].run_id}" == lines[1]
    stages = [line.split()[0] for line in lines if line.startswith(_STAGES)]
    assert ["generate", "parse", "score[first]", "reduce"] == stages
    at = lines.index('    prompt_spec.prefix: null → "p"')
    assert f"  changed since run {runs[0].run_id}" == lines[at - 1]
    assert [
        "  sample 1  computed: this run computed every row of the stage",
        '    read     input = "3"',
        "             seed = 12",
        "             occurrence = 0",
        '    gave     "p answer 3p/12"',
    ] == lines[at + 1 : at + 6]
    assert "  metric first  cached: run" in result.stdout


def test_every_row_names_a_file_of_its_stage(
    runs: list[RunResult], tmp_path: Path
) -> None:
    """The folder stands beside the stage, the file beside the row; together they are
    there.
    """
    result = asked(runs[0].run_id[:-1], "case-3", "--store", str(tmp_path))

    files = []
    for line in result.stdout.splitlines():
        if line.startswith(_STAGES):
            directory = line.split()[1]
        if line.startswith("    file "):
            files.append(tmp_path / "rows" / directory / line.split()[1])
    assert 7 == len(files)
    assert all(file.is_file() for file in files)


def test_values_are_cut_and_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """A long value takes one line; control characters in it are shown, not obeyed."""
    spec = base(tmp_path)
    spec["datasets"][0]["cases"] = [case(1, expected_output="\x9b31m" + "é" * 500)]
    ran(RunStore(str(tmp_path)), spec)

    result = asked("costs", "case-1", "--store", str(tmp_path))

    shown = [line for line in result.stdout.splitlines() if "expected_output" in line]
    assert 2 == len(shown)
    assert all(
        80 == len(line) and line.endswith("é…") and '= "\\x9b31mé' in line
        for line in shown
    )


def test_refusals_are_one_line(runs: list[RunResult], tmp_path: Path) -> None:
    """An unknown store, run, case or dataset, and a damaged record, are one line and
    exit code 2.
    """
    store = ["--store", str(tmp_path)]
    damaged = RunStore(str(tmp_path))
    damaged.replace("runs/20000101-000000-aaaaaa/manifest.json", b"{")

    for arguments, expected in [
        (
            ["last", "case-3", "--store", str(tmp_path / "none")],
            "has no rows and no runs",
        ),
        (["cost", "case-3", *store], "did you mean 'costs'?"),
        (["last", "case-33", *store], "did you mean 'case-3'"),
        (["last", "case-3", "--dataset", "x", *store], "has no dataset 'x'"),
        (["20000101", "case-3", *store], "manifest.json cannot be read"),
    ]:
        result = asked(*arguments)
        assert 2 == result.exit_code, result.output
        assert expected in result.stderr
        assert 1 == len(result.stderr.strip().splitlines())
