"""Runners that cannot be had, and experiments that cannot travel, are one clear error
before anything runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.run import app
from tasks.runners import task_runner
from tests.support.counting import CALLS, Generator
from tests.test_edit_costs import base
from themis_lib import ComponentError, ConfigError, Experiment
from themis_lib.experiment.spec import experiment_from_spec


def test_unknown_runner_names_the_nearest() -> None:
    """A misspelt runner is named with the one that was meant."""
    with pytest.raises(ConfigError, match="did you mean 'processes'"):
        task_runner("proceses", None, "run")


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_missing_extra_is_named(runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its extra, a runner says what to install."""
    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)

    with (
        pytest.raises(ConfigError, match=rf"pip install 'themis-flows\[{runner}\]'"),
        task_runner(runner, 1, "run"),
    ):
        pass


def test_live_object_cannot_travel(tmp_path: Path) -> None:
    """Also a dataclass, whose fields could be written down but not its class, is named
    with its place.
    """
    spec = base(tmp_path / "store")
    spec["generation"]["generator"] = Generator(api_key="secret")
    experiment = experiment_from_spec(Experiment, spec, where="spec")

    with pytest.raises(
        ComponentError,
        match=r"generation\.generator: Generator is a live object.*module:attribute",
    ):
        experiment.check_portable()


def test_secrets_do_not_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential is sent as the name of the variable that holds it."""
    monkeypatch.setenv("THEMIS_TEST_KEY", "sk-live-123")
    spec = base(tmp_path / "store")
    spec["generation"]["generator"]["api_key"] = "${THEMIS_TEST_KEY}"

    text = experiment_from_spec(Experiment, spec, where="spec").portable_json()

    assert "${THEMIS_TEST_KEY}" in text
    assert "sk-live-123" not in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("storage.store=memory", "memory of one process"),
        ("cost.max_cost=5", "kept within one process"),
    ],
)
def test_what_stays_in_one_process_is_refused(
    tmp_path: Path, override: str, message: str
) -> None:
    """A store in memory and a budget are refused with several processes, before a
    server is asked.
    """
    path = tmp_path / "experiment.yaml"
    spec = base(tmp_path / "store")
    spec["generation"]["generator"] = "builtin/demo_generator"
    path.write_text(yaml.safe_dump(spec))
    CALLS.clear()

    result = CliRunner().invoke(app, [str(path), override, "--runner", "processes"])

    assert 2 == result.exit_code, result.output
    assert message in " ".join(result.stderr.split())
    assert {} == CALLS
