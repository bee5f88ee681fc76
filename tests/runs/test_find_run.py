"""Runs by the names that people give them."""

from __future__ import annotations

import pytest

from tests.support.compared_runs import run_of, scored
from themis_lib import InMemoryRunStore, RunStatus, StoreError
from themis_lib.runs.find_run import find_run, find_runs
from themis_lib.runs.manifest import Manifest, write_manifest


@pytest.fixture
def store() -> InMemoryRunStore:
    """Runs of two experiments, and one that is still under way."""
    store = InMemoryRunStore()
    for run_id, name, status, minute in (
        ("20260101-000000-aaaaaa", "sums", RunStatus.COMPLETED, 0),
        ("20260101-000000-bbbbbb", "sums", RunStatus.FAILED, 1),
        ("20260102-000000-cccccc", "words", RunStatus.COMPLETED, 2),
        ("20260103-000000-dddddd", "words", RunStatus.RUNNING, 3),
    ):
        manifest = Manifest(
            run_id=run_id,
            name=name,
            status=status,
            started_at=f"2026-01-01T00:0{minute}:00.000+00:00",
            experiment="e",
            seeds=[0],
            until_stage="reduce",
        )
        write_manifest(store, manifest)
    return store


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260101-000000-aaaaaa", "20260101-000000-aaaaaa"),
        ("20260102", "20260102-000000-cccccc"),
        ("20260103", "20260103-000000-dddddd"),
        ("20260101-000000-b", "20260101-000000-bbbbbb"),
        ("sums", "20260101-000000-bbbbbb"),
        ("words", "20260102-000000-cccccc"),
        ("last", "20260102-000000-cccccc"),
    ],
)
def test_run_is_found_by(text: str, expected: str, store: InMemoryRunStore) -> None:
    """An id, a beginning that is unique, an experiment or `last`; the latter two pass
    over what is under way.
    """
    assert expected == find_run(store, text).run_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "20260101",
            (
                "2 runs begin so (20260101-000000-aaaaaa, 20260101-000000-bbbbbb); "
                "write more"
            ),
        ),
        ("sumz", "did you mean 'sums'?"),
        ("", "has no run ''"),
        ("lasst", "did you mean 'last'?"),
    ],
)
def test_name_that_no_run_has_is_refused(
    text: str, expected: str, store: InMemoryRunStore
) -> None:
    """The error says what was meant, or what there is."""
    with pytest.raises(StoreError) as refusal:
        find_run(store, text)

    assert expected in str(refusal.value)


def test_store_without_runs_says_so() -> None:
    """An empty store is named as such."""
    with pytest.raises(StoreError, match="has no runs"):
        find_run(InMemoryRunStore(), "last")


def test_the_later_of_two_quick_runs_is_the_last() -> None:
    """Runs of the same second are told apart by when they started, not by their
    names.
    """
    store = InMemoryRunStore()
    runs = [run_of(store, scored([1])) for _ in range(4)]

    assert runs[-1].run_id == find_run(store, "last").run_id


def test_pattern_names_the_latest_run_of_each_experiment_like_it(
    store: InMemoryRunStore,
) -> None:
    """In the order in which they started, and none twice; a run under way is none."""
    cells = [f"20260104-000000-00000{number}" for number in (1, 2, 3)]
    for at, (run_id, name) in enumerate(zip(cells, ("a", "b", "a"), strict=True)):
        manifest = Manifest(
            run_id=run_id,
            name=f"grid-{name}",
            status=RunStatus.COMPLETED,
            started_at=f"2026-01-04T00:0{at}:00.000+00:00",
            experiment="e",
            seeds=[0],
            until_stage="reduce",
        )
        write_manifest(store, manifest)

    def ids(*texts: str) -> list[str]:
        return [run.run_id for run in find_runs(store, texts)]

    assert [cells[1], cells[2]] == ids("grid-*")
    assert [cells[2], cells[1]] == ids("grid-a", "grid-*")
    assert ["20260102-000000-cccccc"] == ids("words*")


def test_pattern_that_fits_nothing_is_refused(store: InMemoryRunStore) -> None:
    """The pattern is in the message."""
    with pytest.raises(StoreError, match=r"an experiment like 'grd-\*'"):
        find_runs(store, ["grd-*"])
