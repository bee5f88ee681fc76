"""The score stage: one metric's score of each answer."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import Experiment, Score, ScoreError


class Saying:
    """Returns what it is told for every answer."""

    component_id = "tests/saying"
    version = "1"
    reads = ("value",)

    def __init__(self, score: Any) -> None:
        self.said = score

    def fingerprint(self) -> str:
        return ""


class SyncSaying(Saying):
    def score(self, parsed: Any, case: Any, ctx: Any) -> Any:
        return self.said


class AsyncSaying(Saying):
    async def score(self, parsed: Any, case: Any, ctx: Any) -> Any:
        return self.said


class BatchSaying(Saying):
    def score_batch(self, parsed: Any, cases: Any, contexts: Any) -> list[Any]:
        return [self.said for _ in parsed]


KINDS = [SyncSaying, AsyncSaying, BatchSaying]


def scored(metric: Any) -> dict[str, Any]:
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "evaluation": {"metrics": [metric]},
        "datasets": [{"dataset_id": "d", "cases": [{"case_id": "c", "input": "1"}]}],
    }
    table = Experiment.model_validate(spec).run(until_stage="score").table("scores")
    (row,) = table.select(["score", "details", "error"]).to_pylist()
    return dict(row)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Score(value=0.5, details={"b": 1, "a": 2}), (0.5, '{"a":2,"b":1}', None)),
        (True, (1.0, None, None)),
        (2, (2.0, None, None)),
        (
            ScoreError(reason="unreadable", details={"at": 3}),
            (None, '{"at":3}', "unreadable"),
        ),
    ],
)
def test_score_or_reason(kind: type, said: Any, expected: tuple[Any, ...]) -> None:
    """A number is a score; a reason is counted beside the mean."""
    row = scored(kind(said))

    assert expected == (row["score"], row["details"], row["error"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, "the metric returned no score"),
        (Score(value=None), "the metric returned no score"),
        ("high", "the metric returned str, not a Score"),
        (float("nan"), "the metric returned nan, which is no finite number"),
        (
            Score(value=1.0, details={"x": float("inf")}),
            "the metric's details cannot be kept",
        ),
    ],
)
def test_what_is_no_score_is_a_fact(kind: type, said: Any, expected: str) -> None:
    """It fails its row, not the run."""
    row = scored(kind(said))

    assert row["score"] is None
    assert row["error"].startswith(expected)


def test_exception_in_a_batch_is_that_row_s() -> None:
    """A batch metric returns an exception for a row that it cannot score."""
    assert "ValueError: odd" == scored(BatchSaying(ValueError("odd")))["error"]
