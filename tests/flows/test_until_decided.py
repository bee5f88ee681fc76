"""`themis run --until-decided`, on a Prefect server: the screen, the exit codes, the
plan, and cells in step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from flows.run import app
from tests.support.deciding import CALLS, guesses
from themis_lib import Experiment, RunStore
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.find_run import find_run


def command(folder: Path, spec: dict[str, Any], *arguments: str) -> Result:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return CliRunner().invoke(app, [str(path), *arguments])


def ran_before(folder: Path, right: float) -> RunStore:
    spec = guesses(folder / "store", right=right) | {"name": "before"}
    return experiment_from_spec(Experiment, spec, where="spec").run().store


def test_a_run_against_another_stops_and_says_why(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once decided it is complete, with exit code 0; typed again it calls nothing and
    decides the same.
    """
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    store = ran_before(tmp_path, 0.3)
    spec = guesses(tmp_path / "store", right=0.9)
    CALLS.clear()

    first = command(tmp_path, spec, "--until-decided", "--against", "before")
    calls = CALLS["generate"]
    again = command(tmp_path, spec, "--until-decided", "--against", "before")

    result = find_run(store, "guesses")
    assert result.manifest.sequential is not None
    assert [0, 0] == [first.exit_code, again.exit_code]
    assert calls == CALLS["generate"] == result.summary[0].n < 50
    for screen in (first, again):
        assert f"decided after {calls} of 200 cases: better than run" in screen.output
        assert "intervals: confidence sequence" in screen.output


def test_an_undecided_run_has_the_exit_code_of_data_that_cannot_tell(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6, as for a gate."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    ran_before(tmp_path, 0.3)
    spec = guesses(tmp_path / "store", right=0.31)

    found = command(tmp_path, spec, "--until-decided", "--against", "before")

    assert 6 == found.exit_code
    assert "undecided after" in found.output


def test_a_gate_stops_the_run_with_its_exit_code(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 where it fails; the screen has the confidence sequence."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    spec = guesses(tmp_path / "store", right=0.3)

    found = command(tmp_path, spec, "--until-decided", "--gate", "right >= 0.8")

    assert 5 == found.exit_code
    assert "gate fail  right >= 0.8" in found.output
    assert "95 % confidence sequence" in found.output


def test_cells_go_in_step_through_the_flow(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell that is far better stops early, the baseline with the last."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    rates = {f"r{rate}": {"generation.generator.right": rate} for rate in (2, 6, 9)}
    for number, rate in enumerate((0.2, 0.6, 0.95)):
        list(rates.values())[number]["generation.generator.right"] = rate
    spec = guesses(tmp_path / "store") | {"matrix": {"rate": rates}}

    found = command(tmp_path, spec, "--until-decided")

    store = experiment_from_spec(
        Experiment, guesses(tmp_path / "store"), where="spec"
    ).open_store()
    used = {
        name: find_run(store, f"guesses-{name}").summary[0].n
        for name in ("r2", "r6", "r9")
    }
    assert 0 == found.exit_code
    assert used["r9"] < used["r6"] == used["r2"] < 200
    assert f"r9: right on numbers: decided after {used['r9']} of 200" in found.output
    assert "97.5 % confidence sequence" in found.output
    assert "cells stopped when decided" in " ".join(found.output.split())


def test_a_plan_says_how_many_cases_it_is_to_take(tmp_path: Path) -> None:
    """For several true differences, without a call."""
    ran_before(tmp_path, 0.3)
    spec = guesses(tmp_path / "store", right=0.9)
    CALLS.clear()

    asked = ("--until-decided", "--against", "before", "--plan")
    found = command(tmp_path, spec, *asked)

    assert (0, 0) == (found.exit_code, CALLS["generate"])
    assert "cases until it is decided, of 200" in found.output
    (line,) = [text for text in found.output.splitlines() if "+0.3 " in text]
    _, mean, median, decided, *_ = line.split()
    assert 20 < float(mean) < 100
    assert 20 < float(median) < 100
    assert int(decided) > 90


@pytest.mark.parametrize("option", ["--against before", "--delta 0.1", "--alpha 0.1"])
def test_settings_of_a_stop_without_one_are_refused(
    option: str, tmp_path: Path
) -> None:
    """They would do nothing."""
    found = command(tmp_path, guesses(tmp_path / "store"), *option.split())

    assert 2 == found.exit_code
    assert "add --until-decided" in found.output
