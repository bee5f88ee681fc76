"""Runs inside a notebook: a real kernel, whose cells run in an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from themis_lib.experiment.notebook import progress_html
from themis_lib.stages.progress import Progress

EVALUATE = """
from themis_lib import evaluate
run = evaluate(model=str.upper, data=[{"input": "a", "expected_output": "A"}])
run
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def outputs(kernel: Any, code: str) -> list[tuple[str, Any]]:
    """What a cell shows: the kind of each message and its content."""
    messages: list[tuple[str, Any]] = []
    kernel.execute_interactive(
        code,
        timeout=120,
        output_hook=lambda message: messages.append(
            (message["msg_type"], message["content"])
        ),
    )
    return messages


@pytest.mark.slow
def test_evaluate_runs_in_a_cell(kernel: Any) -> None:
    """It needs no `await`, and the cell shows bars, then the scores as a table."""
    shown = outputs(kernel, EVALUATE)
    kinds = [kind for kind, _ in shown]
    [result] = [content for kind, content in shown if kind == "execute_result"]

    assert "error" not in kinds
    assert "exact_match" in result["data"]["text/html"]
    assert "exact_match" in result["data"]["text/plain"]
    updates = [content for kind, content in shown if kind == "update_display_data"]
    assert "generate 1/1" in updates[-1]["data"]["text/html"]


@pytest.mark.slow
def test_error_is_one_traceback(kernel: Any) -> None:
    """The last line says what to do; nothing was raised before it."""
    code = EVALUATE.replace("str.upper", repr("openia"))
    [error] = [content for kind, content in outputs(kernel, code) if kind == "error"]

    assert "ComponentError" == error["ename"]
    assert "During handling" not in "".join(error["traceback"])


def test_bars_show_the_rows_of_each_stage() -> None:
    """Labels are text."""
    progress = Progress()
    progress.expect("score[<b>]", 10)
    progress.advance("score[<b>]", 4)

    assert (
        '<div><progress value="4" max="10"></progress> score[&lt;b&gt;] '
        "4/10, 0 cached, 0 failed</div>" == progress_html(progress)
    )
