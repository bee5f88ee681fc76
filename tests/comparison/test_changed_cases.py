"""Cases that two runs both have, with other data."""

from __future__ import annotations

from tests.support.compared_runs import case, run_of
from themis_lib import InMemoryRunStore, compare


def test_changed_values_are_named() -> None:
    """A case without a partner that has the id of one in the other run is shown with
    the values that differ.
    """
    store = InMemoryRunStore()
    before = [case("a", 0), case("b", 1, expected="4"), case("c", 0)]
    after = [case("a", 0), case("b", 1, expected="5"), case("d", 0)]

    comparison = compare(run_of(store, before), run_of(store, after))

    assert [("b", "b", ['expected_output: "4" → "5"'])] == [
        (item.case_id, item.candidate_case_id, item.changes)
        for item in comparison.changed
    ]


def test_metadata_of_matched_cases_are_compared() -> None:
    """Cases match whatever their metadata; those that differ in it are named."""
    store = InMemoryRunStore()
    before = [case("a", 0, topic="x"), case("b", 1, topic="y")]
    after = [case("b", 1, topic="z", case_id="k"), case("a", 0, topic="x")]

    comparison = compare(run_of(store, before), run_of(store, after))

    assert 2 == comparison.differences[0].n
    assert [("b", "k", ['metadata.topic: "y" → "z"'])] == [
        (item.case_id, item.candidate_case_id, item.changes)
        for item in comparison.changed
    ]


def test_equal_data_in_another_order_are_no_change() -> None:
    """Order and ids are not data: no setting differs, and no case has changed."""
    store = InMemoryRunStore()
    before = [case("a", 0), case("b", 1), case("c", 1)]
    after = [case("c", 1, case_id="x"), case("a", 0), case("b", 1)]
    baseline, candidate = run_of(store, before), run_of(store, after)

    comparison = compare(baseline, candidate)

    assert baseline.manifest.data == candidate.manifest.data
    assert [] == comparison.changed
    assert [] == comparison.identity[candidate.run_id]


def test_other_data_are_a_difference_of_the_runs() -> None:
    """The digests of data differ, and a line says of which dataset."""
    store = InMemoryRunStore()
    baseline = run_of(store, [case("a", 0), case("b", 1)])
    candidate = run_of(store, [case("a", 0), case("c", 1)])
    [(name, old)] = baseline.manifest.data.items()
    new = candidate.manifest.data[name]

    comparison = compare(baseline, candidate)

    assert [f'data.{name}: "{old}" → "{new}"'] == comparison.identity[candidate.run_id]
