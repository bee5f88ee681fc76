"""The data of a comparison."""

from __future__ import annotations

from tests.support.compared_runs import case, run_of
from themis_lib import Comparison, InMemoryRunStore, compare


def test_a_comparison_survives_json() -> None:
    """Written and read again it is equal, whatever is missing in it."""
    store = InMemoryRunStore()
    before = [case("a", 0), case("b", None), case("old", 1)]
    after = [case("a", 1), case("b", 1), case("new", 1)]
    comparison = compare(run_of(store, before), run_of(store, after))

    assert comparison == Comparison.model_validate_json(comparison.model_dump_json())


def test_the_baseline_is_the_first_run() -> None:
    """The parts of a comparison name the candidate; the baseline is known by place."""
    store = InMemoryRunStore()
    baseline = run_of(store, [case("a", 0)])
    candidate = run_of(store, [case("a", 1)])

    comparison = compare(baseline, candidate)

    assert baseline.run_id == comparison.baseline.run_id
    assert [candidate.run_id] == [flip.run_id for flip in comparison.flips]
