"""The worker: what it answers, and how it speaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from themis_lib.bounded import worker
from themis_lib.builtins import math_worker
from themis_lib.builtins.math_worker import answer

QUESTION = {
    "value": "$2$",
    "expected": ["$1+1$"],
    "float_rounding": 6,
    "strict": True,
    "cpu_s": 30.0,
}


def conversation(*flags: str, questions: list[dict[str, Any]]) -> list[Any]:
    """Return what the worker writes for these questions, from its start to its end."""
    run = subprocess.run(
        [
            sys.executable,
            *flags,
            str(Path(worker.__file__)),
            str(Path(math_worker.__file__)),
        ],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        check=True,
        text=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_worker_says_which_side_it_cannot_read():
    """The expected output first: where it is unreadable, no value can be judged."""
    asked = {"float_rounding": 6, "strict": True}

    assert {"unreadable": "expected", "equal": None} == answer("?", ["?"], **asked)
    assert {"unreadable": "value", "equal": None} == answer("?", ["1"], **asked)
    assert {"unreadable": None, "equal": True} == answer("1", ["2", "1"], **asked)


def test_worker_answers_a_line_with_a_line() -> None:
    """First that it is ready, then each question in order, until the input ends."""
    wrong = {**QUESTION, "value": "$3$"}

    assert [
        {"error": None},
        {"unreadable": None, "equal": True},
        {"unreadable": None, "equal": False},
    ] == conversation("-P", questions=[QUESTION, wrong])


def test_worker_says_why_math_verify_cannot_be_loaded() -> None:
    """Python without installed packages has none; no question is answered then."""
    [said] = conversation("-I", "-S", questions=[QUESTION])

    assert "ModuleNotFoundError: No module named 'math_verify'" == said["error"]
