"""What runs leave in a component's code is no change of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from themis_lib import Score, evaluate

CALLS: list[str] = []
MEMO: dict[str, bool] = {}


def remembers(value: Any, expected: Any) -> bool:
    CALLS.append(value)
    if value not in MEMO:
        MEMO[value] = value == expected
    return MEMO[value]


class MakesItsClient:
    """Makes an object without content at its first call, and keeps it."""

    component_id = "tests/client"
    version = "1"
    reads = ("value",)

    def __init__(self) -> None:
        self.client: Any = None

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: Any, case: Any, ctx: Any) -> Score:
        CALLS.append(parsed.value)
        if self.client is None:
            self.client = iter([])
        return Score(value=1.0)


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    CALLS.clear()
    MEMO.clear()


def calls(metric: Any, store: Path) -> int:
    CALLS.clear()
    evaluate(
        model=str,
        data=[{"input": text, "expected_output": "a"} for text in ("a", "b")],
        parser="builtin/text",
        metric=metric,
        store=str(store),
    )
    return len(CALLS)


def test_memo_of_the_runs_is_no_change(tmp_path: Path) -> None:
    """A second run finds the rows of the first, with its memo full or empty."""
    first = calls(remembers, tmp_path)
    full = calls(remembers, tmp_path)
    MEMO.clear()

    assert (2, 0, 0) == (first, full, calls(remembers, tmp_path))


def test_memo_that_somebody_else_changed_is_a_change(tmp_path: Path) -> None:
    """A value put into the memo from outside reaches the scores, and is seen."""
    calls(remembers, tmp_path)
    MEMO["a"] = False

    assert (2, 0) == (calls(remembers, tmp_path), calls(remembers, tmp_path))


def test_client_made_at_the_first_call_is_no_change(tmp_path: Path) -> None:
    """An attribute that a run has filled counts as what it was before."""
    metric = MakesItsClient()

    assert (2, 0) == (calls(metric, tmp_path), calls(metric, tmp_path))


def test_state_of_one_object_is_not_that_of_another(tmp_path: Path) -> None:
    """An object made with what a run left in another one is another component."""
    metric = MakesItsClient()
    calls(metric, tmp_path)
    other = MakesItsClient()
    other.client = "given"

    assert 2 == calls(other, tmp_path)
