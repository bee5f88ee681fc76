"""The types that a user's own checker sees, from the wheel as it is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RIGHT = """\
from themis_lib import Experiment, RunResult, evaluate
from themis_lib.core.config import EvaluationConfig, GenerationConfig

def shout(prompt: str) -> str:
    return prompt.upper()

run: RunResult = evaluate(model=shout, data=[{"input": "a", "expected_output": "A"}])
means: list[float | None] = [row.mean for row in run.summary]
experiment = Experiment(generation=GenerationConfig(generator="builtin/demo_generator"))
other: RunResult = experiment.run()
"""
#: A wrong argument a line, behind the lines above.
WRONG = [
    "evaluate(model=3, data=[])",
    'evaluate(model=shout, data=[], samples="two")',
    "Experiment(generation=3)",
    'Experiment(generation=GenerationConfig(generator="x"), sedes=[1])',
    "GenerationConfig(generator=3)",
    "EvaluationConfig(metrics=[3])",
    "run.table(3)",
    "number: int = run.status",
]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in whose environment the wheel is installed, beside its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    wheels = folder / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [*build, "--no-build-isolation", "--wheel-dir", wheels, ROOT], check=True
    )
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin/python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*install, "--no-deps", "--no-index", wheel], check=True)
    (site,) = (venv / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def complaints(program: str, python: Path, folder: Path) -> list[str]:
    """What `mypy --strict` says of a program in a folder of its own."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python]
    done = subprocess.run(
        [*command, "program.py"], cwd=folder, capture_output=True, text=True
    )
    return [line for line in done.stdout.splitlines() if ": error:" in line]


@pytest.mark.slow
def test_installed_wheel_has_types(python: Path, tmp_path: Path) -> None:
    """A program of ten lines has no error under `mypy --strict`."""
    assert [] == complaints(RIGHT, python, tmp_path)


@pytest.mark.slow
def test_wrong_arguments_are_errors(python: Path, tmp_path: Path) -> None:
    """Each wrong argument is an error, in its own line."""
    program = RIGHT + "\n".join(WRONG) + "\n"
    first = RIGHT.count("\n") + 1

    found = complaints(program, python, tmp_path)

    lines = {int(complaint.split(":")[1]) for complaint in found}
    assert set(range(first, first + len(WRONG))) == lines, found
