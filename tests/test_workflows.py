"""The workflows of continuous integration are valid, and run what `make` runs."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
VERBS = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
)


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of all jobs, in order."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def verbs(command: str) -> list[str]:
    """The verbs that a command of `make` names, without its variables."""
    program, *arguments = shlex.split(command)
    assert "make" == program, command
    return [argument for argument in arguments if "=" not in argument]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_step_is_a_verb_of_make_or_a_released_action(path: Path) -> None:
    """What continuous integration runs, you can run: each `run` is `make VERB`, and each
    action names a version.
    """
    workflow = yaml.safe_load(path.read_text())

    for step in steps(workflow):
        if "run" in step:
            assert set() == set(verbs(step["run"])) - VERBS
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


def test_versions_of_python_are_those_of_the_package() -> None:
    """The tested versions are the classifiers', from `requires-python` on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())

    for job in ("test", "package"):
        assert named == workflow["jobs"][job]["strategy"]["matrix"]["python"]
    assert f">={named[0]}" == project["requires-python"]


def test_a_step_beside_make_is_found() -> None:
    """A command that is no verb fails this test."""
    with pytest.raises(AssertionError):
        verbs("pip install .")
    assert {"no-such-verb"} == set(verbs("make no-such-verb PYTHON=python")) - VERBS
