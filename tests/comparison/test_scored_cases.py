"""The cases of runs: how they are read, matched, sliced and clustered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.compared_runs import case, run_of, scored
from tests.support.table_files import with_table_files
from themis_lib import ConfigError, InMemoryRunStore, RunStore, compare
from themis_lib.comparison.models import Unmatched
from themis_lib.comparison.scored_cases import (
    cluster_numbers,
    scored_cases,
    slice_names,
)
from themis_lib.errors import StoreError


def test_cases_are_read_in_the_order_of_the_run() -> None:
    """Each case has its score under each metric, NaN where it has none."""
    result = run_of(InMemoryRunStore(), scored([1, None, 0]))

    cases = scored_cases(result)

    assert ["q0", "q1", "q2"] == cases.case_ids
    assert [1.0, 0.0] == cases.scores["m"][[0, 2]].tolist()
    assert np.isnan(cases.scores["m"][1])


def test_a_metadata_column_is_none_where_a_case_lacks_it() -> None:
    """The column has a value for each chosen case, in their order."""
    before = [case("a", 0, topic="x"), case("b", 0), case("c", 0, topic="y")]
    cases = scored_cases(run_of(InMemoryRunStore(), before))

    assert ["y", None] == cases.column("topic", np.array([2, 1]))


def test_slices_are_named_as_summaries_name_them() -> None:
    """A missing value is written as null."""
    assert ["topic=x", "topic=null"] == slice_names("topic", ["x", None])


def test_a_case_without_a_cluster_is_one_by_itself() -> None:
    """Equal values share a number; missing ones do not."""
    assert [0, 1, 0, 2] == cluster_numbers(["a", None, "a", None]).tolist()


def test_cases_are_matched_by_content() -> None:
    """Ids, order and metadata do not matter; dataset, input and expected output do."""
    store = InMemoryRunStore()
    before = [case("a", 0), case("b", 1), case("c", 0, expected="1"), case("d", 1)]
    after = [
        case("d", 0, case_id="x"),
        case("c", 1, expected="2"),
        case("a", 1, case_id="y"),
        case("e", 1),
    ]
    baseline, candidate = run_of(store, before), run_of(store, after)

    comparison = compare(baseline, candidate)

    assert 2 == comparison.differences[0].n
    assert [("a", "y", 0.0, 1.0), ("d", "x", 1.0, 0.0)] == [
        (
            flip.case_id,
            flip.candidate_case_id,
            flip.baseline_score,
            flip.candidate_score,
        )
        for flip in comparison.flips
    ]
    assert [
        Unmatched(
            run_id=candidate.run_id,
            dataset_id="d",
            only_in_baseline=["b", "c"],
            only_in_candidate=["c", "e"],
        )
    ] == comparison.unmatched


def test_duplicates_are_matched_in_order_and_left_over_where_there_are_more() -> None:
    """Of three equal cases against two, the first two pair up, and the third has no
    partner.
    """
    store = InMemoryRunStore()
    before = [
        case("a", 1, case_id="a1"),
        case("a", 0, case_id="a2"),
        case("a", 1, case_id="a3"),
    ]
    after = [case("a", 0, case_id="b1"), case("a", 1, case_id="b2")]

    comparison = compare(run_of(store, before), run_of(store, after))

    assert [("a1", "b1"), ("a2", "b2")] == [
        (flip.case_id, flip.candidate_case_id) for flip in comparison.flips
    ]
    assert [["a3"]] == [item.only_in_baseline for item in comparison.unmatched]
    assert [[]] == [item.only_in_candidate for item in comparison.unmatched]


def test_runs_whose_tables_are_damaged_or_gone_are_named(tmp_path: Path) -> None:
    """A table that cannot be read, or is not there, is bad input that says where."""
    store = RunStore(str(tmp_path))
    baseline = with_table_files(run_of(store, scored([1, 0])))
    candidate = run_of(store, scored([1, 1]))
    table = tmp_path / "runs" / baseline.run_id / "results.parquet"

    table.write_bytes(b"not Parquet")
    with pytest.raises(StoreError, match=r"a table of run .* cannot be read"):
        compare(baseline, candidate)
    table.unlink()
    with pytest.raises(ConfigError, match="its tables are no longer in"):
        compare(baseline, candidate)
