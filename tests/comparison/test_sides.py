"""Each run of a comparison as a whole."""

from __future__ import annotations

from typing import Any

from tests.support.compared_runs import StatedScore, run_of, scored
from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    compare,
)
from themis_lib.report.comparison_markdown import comparison_markdown, side_cells
from themis_lib.report.html_comparison import comparison_html
from themis_lib.stages.endings import Ending


def test_sides_have_size_tokens_and_latency() -> None:
    """The runs stand side by side, the baseline first, with what they took."""
    store = InMemoryRunStore()
    baseline, candidate = (
        run_of(store, scored([0, 1])),
        run_of(store, scored([1, 1, 1])),
    )

    comparison = compare(baseline, candidate)

    assert [baseline.run_id, candidate.run_id] == [
        side.run_id for side in comparison.runs
    ]
    assert [2, 3] == [side.cases for side in comparison.runs]
    assert [(20, 4), (30, 6)] == [
        (side.input_tokens, side.output_tokens) for side in comparison.runs
    ]
    assert comparison.baseline.latency_p50_s <= comparison.baseline.latency_p95_s
    assert comparison.baseline.cost is None


def test_identity_says_what_differs() -> None:
    """Settings that differ are lines with stage, path and both values; equal runs have
    none.
    """
    store = InMemoryRunStore()
    baseline = run_of(store, scored([0, 1]))
    metrics = {"m": StatedScore(), "other": StatedScore(2)}
    same, other = (
        run_of(store, scored([0, 1])),
        run_of(store, scored([[0, 0], [1, 1], [1, 1]]), model="m2", metrics=metrics),
    )

    identity = compare(baseline, same, other).identity

    assert [] == identity[same.run_id]
    lines = identity[other.run_id]
    assert "seeds: [0] → [0,1]" in lines
    assert "datasets.d: 2 → 3" in lines
    assert any(
        '"m1" → "m2"' in line and line.startswith("generate.generator")
        for line in lines
    )
    assert any(line.startswith("score[other]: null → ") for line in lines)


class CutShort:
    """A model whose outputs are cut where the input is below a limit."""

    component_id = "tests/cut_short"
    version = "1"
    reads = ("input",)

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def fingerprint(self) -> str:
        return str(self.limit)

    def generate(self, case: Case, ctx: Any) -> GenerationResult:
        is_cut = int(case.input) < self.limit
        return GenerationResult(
            final_output="x", finish_reason="length" if is_cut else "stop"
        )


def test_sides_count_outputs_that_were_cut() -> None:
    """A run that does better because fewer were cut shows it, in text and on the page."""
    store = InMemoryRunStore()
    cases = [
        Case(case_id=str(at), input=str(at), expected_output="x") for at in range(4)
    ]
    runs = []
    for limit in (3, 0):
        experiment = Experiment(
            generation=GenerationConfig(generator=CutShort(limit)),
            evaluation=EvaluationConfig(metrics=["builtin/exact_match"]),
            datasets=[Dataset(dataset_id="d", cases=cases)],
        )
        runs.append(experiment.run(store))

    comparison = compare(*runs)

    assert [3, None] == [side.endings.get(Ending.CUT) for side in comparison.runs]
    [heading] = [
        line
        for line in comparison_markdown(comparison).splitlines()
        if "| cut |" in line
    ]
    position = heading.split(" | ").index("cut")
    assert ["3", "—"] == [side_cells(side)[position] for side in comparison.runs]
    assert "Outputs cut at max_tokens" in comparison_html(comparison, runs)
