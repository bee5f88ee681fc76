"""Each run of a comparison as a whole."""

from __future__ import annotations

from tests.support.compared_runs import StatedScore, run_of, scored
from themis_lib import InMemoryRunStore, compare


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
