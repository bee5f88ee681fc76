"""The reduce stage: the samples of a case become one result for each metric."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import Experiment, ReducedCandidate, RunResult, Score

SEEDS = [1, 2, 3]


class Recording:
    """Keeps what it was given and returns what it was told."""

    component_id = "tests/recording"
    version = "1"

    def __init__(
        self, reduced: Any, reads: tuple[str, ...] = ("value", "score")
    ) -> None:
        self.reduced = reduced
        self.reads = reads
        self.given: list[Any] = []

    def fingerprint(self) -> str:
        return ""

    def reduce(self, candidates: Any, ctx: Any) -> Any:
        self.given.append(
            (ctx.metric_id, [(item.value, item.score) for item in candidates])
        )
        return self.reduced


class AsyncRecording(Recording):
    async def reduce(self, candidates: Any, ctx: Any) -> Any:
        return super().reduce(candidates, ctx)


def run(reducer: Any, *metrics: Any) -> RunResult:
    case = {"case_id": "c", "input": "1", "expected_output": "1"}
    spec = {
        "generation": {"generator": "builtin/demo_generator", "reducer": reducer},
        "evaluation": {"metrics": list(metrics)},
        "datasets": [{"dataset_id": "d", "cases": [case]}],
        "seeds": SEEDS,
    }
    return Experiment.model_validate(spec).run()


@pytest.mark.parametrize("kind", [Recording, AsyncRecording])
def test_reducer_gets_the_samples_in_order(kind: type) -> None:
    """Once for each metric, with their values and scores."""
    reducer = kind(ReducedCandidate(score=0.5, sample_index=2, value="x"))

    result = run(reducer, "builtin/exact_match", "builtin/f1")

    assert ["exact_match", "f1"] == [metric_id for metric_id, _ in reducer.given]
    assert all(len(samples) == len(SEEDS) for _, samples in reducer.given)
    rows = result.table("results").to_pylist()
    assert [(0.5, 2, '"x"', 3, 0)] * 2 == [
        (
            row["score"],
            row["sample_index"],
            row["value"],
            row["n_samples"],
            row["n_errors"],
        )
        for row in rows
    ]


class ErrorRate:
    """A metric of which less is better."""

    component_id = "tests/error_rate"
    version = "1"
    higher_is_better = False

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: Any, case: Any, ctx: Any) -> Score:
        return Score(value=0.25)


class Direction(Recording):
    """Keeps which way the metrics are read."""

    def reduce(self, candidates: Any, ctx: Any) -> Any:
        self.given.append((ctx.metric_id, ctx.higher_is_better))
        return self.reduced


def test_reducer_is_told_whether_higher_is_better() -> None:
    """Metric by metric, as each declares; with that its results are other rows."""
    reducer = Direction(ReducedCandidate(score=0.5))

    both = run(reducer, "builtin/exact_match", ErrorRate())
    alone = run(reducer, "builtin/exact_match")

    expected = {("exact_match", True), ("tests/error_rate", False)}
    assert expected == set(reducer.given)
    assert fingerprint_of_reduce(both) != fingerprint_of_reduce(alone)


def fingerprint_of_reduce(result: RunResult) -> str:
    (record,) = [item for item in result.manifest.stages if item.name == "reduce"]
    return record.fingerprint


def test_values_are_hidden_from_a_reducer_of_scores() -> None:
    """A reducer that does not read values cannot depend on them."""
    reducer = Recording(ReducedCandidate(score=1.0), reads=("score",))

    run(reducer, "builtin/exact_match")

    assert [None] * len(SEEDS) == [value for value, _ in reducer.given[0][1]]


def test_without_metrics_a_case_is_reduced_once() -> None:
    """For no metric, and without a score that could be missing."""
    reducer = Recording(ReducedCandidate(score=None, sample_index=0, value="x"))

    (row,) = run(reducer).table("results").to_pylist()

    assert reducer.given[0][0] is None
    assert (None, '"x"', None) == (row["metric_id"], row["value"], row["error"])


@pytest.mark.parametrize(
    ("reduced", "expected"),
    [
        (3.0, "the reducer returned float, not a ReducedCandidate"),
        (ReducedCandidate(score=float("nan")), "the reducer returned nan"),
        (ReducedCandidate(score=None), "the reducer returned no score"),
        (
            ReducedCandidate(score=1.0, value=object()),
            "the reducer's result cannot be kept",
        ),
    ],
)
def test_what_is_no_result_is_a_fact(reduced: Any, expected: str) -> None:
    """It fails its row, not the run."""
    (row,) = run(Recording(reduced), "builtin/exact_match").table("results").to_pylist()

    assert row["score"] is None
    assert row["error"].startswith(expected)
