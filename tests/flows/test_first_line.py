"""What `themis run` shows before it imports the library, and what it never imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prefect import Flow

from flows.evaluate import evaluate
from flows.parameters import EvaluateParameters
from tests.support.new_process import in_new_process
from tests.support.terminal import shown_in_terminal

COMMAND = [sys.executable, "-m", "flows.run", "nowhere.yaml", "--plan"]
HEAVY = ["numpy", "prefect", "pyarrow", "pydantic", "themis_lib.runs", "yaml"]


def test_options_are_there_before_the_library() -> None:
    """Nor do they import what only runs need."""
    program = f"""
import flows.run
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""

    assert [] == in_new_process(program)


def test_first_line_says_what_is_read_before_the_library_is_there(
    tmp_path: Path,
) -> None:
    """Even if the library could not be imported at all."""
    program = f"""
import sys
sys.modules["pyarrow"] = None
from flows.run import app
app({COMMAND[3:]!r})
"""
    shown = shown_in_terminal(
        [sys.executable, "-c", program], cwd=tmp_path, env=dict(os.environ)
    )

    assert "reading nowhere.yaml" in shown.splitlines()[0]
    assert "pyarrow" in shown


def test_first_line_is_for_people_alone(tmp_path: Path) -> None:
    """A pipe or a log has no line more."""
    ended = subprocess.run(
        COMMAND, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert 2 == ended.returncode
    assert ended.stderr.startswith("error: ")
    assert "" == ended.stdout


def test_parameters_on_record_are_those_that_prefect_would_write() -> None:
    """Without FastAPI, which Prefect imports for it."""
    asked = EvaluateParameters(
        experiment="a.yaml",
        limit=3,
        max_cost=0.5,
        gates=["exact_match >= 0.8"],
        overrides=["name=b"],
    )
    parameters = {"parameters": asked}

    program = """
from flows.evaluate import evaluate
from flows.parameters import EvaluateParameters
asked = EvaluateParameters(experiment="a.yaml")
evaluate.serialize_parameters({"parameters": asked})
print(json.dumps("fastapi" in sys.modules))
"""

    expected = Flow.serialize_parameters(evaluate, parameters)
    assert expected == evaluate.serialize_parameters(parameters)
    assert in_new_process(program) is False
