"""The command that lists what identifies an experiment's components."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from flows.identity import app

MODULE = """
import os, time
from threading import Lock

from {name}_words import normalise

LOCK = Lock()


class Metric:
    component_id = "mine/metric"
    version = "1"
    reads = ("value", "expected_output")
    runtime = ("note",)

    def __init__(self, words=(), note="", api_key=""):
        self.words = words
        self.note = note
        self.api_key = api_key

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        time.time()
        return normalise(parsed.value) in os.environ["ALLOWED"]
"""


def listed(folder: Path, monkeypatch) -> str:
    name = f"listed_{folder.name}"
    (folder / f"{name}.py").write_text(MODULE.format(name=name))
    (folder / f"{name}_words.py").write_text("def normalise(text): return text\n")
    monkeypatch.syspath_prepend(str(folder))
    metric = {"use": f"{name}:Metric", "words": ["a"], "note": "n"}
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "evaluation": {"metrics": [metric]},
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    result = CliRunner().invoke(app, [str(path)])
    assert 0 == result.exit_code, result.output
    return result.output


def test_definitions_values_and_variables_are_listed(
    tmp_path: Path, monkeypatch
) -> None:
    """Code next door, settings and variables are named, definitions with their place."""
    said = listed(tmp_path, monkeypatch)

    name = f"listed_{tmp_path.name}"
    assert f"definition  {name}_words.normalise  ({name}_words.py:1)" in said
    assert "value       attribute words" in said
    assert "variable    ALLOWED" in said
    assert "a built-in: its version and settings" in said


def test_what_is_not_covered_is_listed_with_the_reason(
    tmp_path: Path, monkeypatch
) -> None:
    """What is declared runtime, credentials, and the clock are named as not covered."""
    said = listed(tmp_path, monkeypatch)

    assert "not covered attribute note: named in `runtime`" in said
    assert "not covered attribute api_key: a credential" in said
    assert "by chance   the clock (time.time)" in said


def test_wrong_experiment_is_one_line(tmp_path: Path) -> None:
    """A file that is not there is one clear error."""
    result = CliRunner().invoke(app, [str(tmp_path / "none.yaml")])

    assert 2 == result.exit_code
    assert 1 == len(result.stderr.strip().splitlines())
