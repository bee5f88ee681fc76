"""What a person sees at the end of a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.display import STARTING, Follower, print_result, showing
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
            "Cases without a score are left out of the mean (`errors: exclude`).",
        ),
        ("zero", "Cases without a score count 0 in the mean (`errors: zero`)."),
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


def shown_before_a_run(follower: Follower, *, is_terminal: bool) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=is_terminal)
    with showing(follower, console):
        pass
    return str(console.file.getvalue())


def test_start_of_a_server_is_announced_while_it_lasts() -> None:
    """In one line of 80 columns, and not once the server is there."""
    follower = Follower()
    before = shown_before_a_run(follower, is_terminal=True)
    follower.wait_for_server()
    meanwhile = shown_before_a_run(follower, is_terminal=True)
    in_a_log = follower.lines()
    follower.server_is_there()
    after = shown_before_a_run(follower, is_terminal=True)

    assert STARTING in meanwhile
    assert STARTING == in_a_log
    assert len(STARTING) <= 80
    assert before == after
    assert STARTING not in before
    assert "" == follower.lines()
