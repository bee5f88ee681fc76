"""An edit of code never leaves old rows in use: a run after it, on a warm store, gives
what the edited code says.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.drivers import flow_outcome, run_in_process, run_through_flow
from tests.support.programs import PLACES, Program, forget_modules, histories
from themis_lib import RunResult


def examples(number: int) -> settings:
    """So many examples, which clear the folder they share themselves."""
    return settings(
        max_examples=number,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules any process imports, and forgets with the test."""
    place = tmp_path / "code"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{Path.cwd()}")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for at in range(6):
        monkeypatch.setenv(f"THEMIS_TEST_part{at}", "0")
    yield place
    forget_modules(place)


def check(program: Program, folder: Path, run: Any) -> None:
    """A run gives what the program says, and the next one scores nothing again."""
    program.write(folder)
    forget_modules(folder)
    log = folder / "generated_metric.py.scored"

    result: RunResult = run(program.experiment(folder.parent / "store"))
    scored = log.read_bytes() if log.exists() else b""
    forget_modules(folder)
    again: RunResult = run(program.experiment(folder.parent / "store"))

    assert [float(program.value)] * 4 == result.table("scores")["score"].to_pylist()
    assert result.table("scores") == again.table("scores")
    assert scored == log.read_bytes()


def check_history(history: list[Program], folder: Path, run: Any) -> None:
    """Each program, on the store of those before it, which begins empty."""
    shutil.rmtree(folder.parent / "store", ignore_errors=True)
    for path in folder.iterdir():
        path.unlink()
    for program in history:
        check(program, folder, run)


@pytest.mark.parametrize("place", PLACES)
def test_number_in_any_place(place: str, folder: Path) -> None:
    """Changed one and two modules away."""
    before = Program(("body", place, place), (1, 20, 300))

    for program in (before, before.edited(2, 301), before.edited(1, 21)):
        check(program, folder, lambda spec: run_in_process(spec, folder, ""))


@examples(6)
@given(history=histories())
def test_edits_of_generated_programs(history: list[Program], folder: Path) -> None:
    """Edits of any kind at any depth."""
    check_history(history, folder, lambda spec: run_in_process(spec, folder, ""))


@pytest.mark.slow
@examples(60)
@given(history=histories())
def test_edits_of_many_generated_programs(history: list[Program], folder: Path) -> None:
    """As above, for more of them."""
    check_history(history, folder, lambda spec: run_in_process(spec, folder, ""))


@pytest.mark.slow
@examples(8)
@given(history=histories())
def test_edits_through_the_flow(
    history: list[Program], folder: Path, prefect_api: str
) -> None:
    """As above, with the stages as tasks on threads."""
    check_history(
        history, folder, lambda spec: run_through_flow(spec, folder, prefect_api)
    )


@pytest.mark.slow
@examples(3)
@given(history=histories())
def test_edits_on_processes(
    history: list[Program], folder: Path, prefect_api: str
) -> None:
    """As above, with the stages computed in other processes."""

    def run(spec: dict[str, Any]) -> RunResult:
        return flow_outcome(spec, folder, prefect_api, runner="processes").run.result

    check_history(history, folder, run)
