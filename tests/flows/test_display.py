"""What a person sees at the end of a run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from flows.display import STARTING, Follower, print_result, showing
from tests.runs.test_summary import ERROR, run
from themis_lib import RunResult, RunStore
from themis_lib.stages.progress import Progress


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


def test_rows_in_memory_are_not_promised_to_the_next_run() -> None:
    """A run in memory names no place that is gone, and says how to keep its rows."""
    text = shown(run(1, 0))

    assert "memory://" not in text
    assert "costs nothing" not in text
    assert "next    run --store results" in text


def test_rows_in_a_folder_cost_nothing_again(tmp_path: Path) -> None:
    """The same run where its rows are kept."""
    text = shown(run(1, 0, store=RunStore(str(tmp_path))))

    (next_step,) = [line for line in text.splitlines() if line.startswith("next")]
    assert "costs nothing" in next_step
    assert "--store" not in next_step


def test_command_for_tables_says_where_to_write_them(tmp_path: Path) -> None:
    """Beside the run's record, or where that is behind requests, to a folder here."""
    near = RunStore(str(tmp_path))
    far = RunStore("memory://far")
    result = run(1, 0, store=far)
    # As any other store that is not on this disk.
    far.in_memory = False

    texts = [shown(run(1, 0, store=near)), shown(result)]

    lines = [
        next(line for line in text.splitlines() if line.startswith("tables"))
        for text in texts
    ]
    assert lines[0].endswith(f" --store {near.url}")
    assert lines[1].endswith(" --store memory://far --output tables")


def test_rows_of_another_run_are_waited_for_in_sight() -> None:
    """In the line of a log and on a terminal, until they are there."""
    follower, progress = Follower(), Progress()
    follower.follow(progress)
    progress.expect("generate", 240)
    progress.wait("generate", 120)
    console = Console(width=80, file=io.StringIO())

    line = follower.lines()
    console.print(follower)
    progress.wait("generate", -120)

    assert "generate 0/240  waiting for another run: 120 rows" == line
    assert "waiting for another run: 120 rows" in console.file.getvalue()
    assert "generate 0/240" == follower.lines()


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
