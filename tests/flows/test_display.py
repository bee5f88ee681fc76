"""What a person sees at the end of a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.display import print_result
from tests.runs.test_summary import ERROR, run
from themis_lib import RunResult


def shown(result: RunResult) -> str:
    console = Console(width=80, file=io.StringIO())
    print_result(result, console, seconds=1.0, page=None, command="run")
    return str(console.file.getvalue())


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            "exclude",
            "Failed cases are left out of the mean (`errors: exclude`).",
        ),
        ("zero", "Failed cases count 0 in the mean (`errors: zero`)."),
        (
            "fail",
            (
                "Failed: 1 of 2 cases of 'd' have no score "
                "(evaluation.statistics.errors is"
            ),
        ),
    ],
)
def test_policy_for_errors_is_stated(policy: str, expected: str) -> None:
    """Below the summary, where a case has no score."""
    assert expected in shown(run(1, ERROR, statistics={"errors": policy}))
