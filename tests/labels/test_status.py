"""How far a run is labelled, and how far people agree."""

from __future__ import annotations

import pytest

from tests.support.labelling import cases, give_labels, judged_run
from themis_lib import InMemoryRunStore, LabelSession
from themis_lib.labels.status import label_status


def test_a_run_without_labels() -> None:
    """Before anybody labels, there is a count of items and nobody."""
    status = label_status(judged_run(InMemoryRunStore(), samples=2))

    assert (6, 0, 0, 0, []) == (
        status.items,
        status.labelled,
        status.sampled,
        status.stale,
        status.labellers,
    )


def test_people_and_their_agreement() -> None:
    """Each labeller's counts, and the agreement of two on what both have labelled."""
    run = judged_run(InMemoryRunStore())
    give_labels(run, 4, labeller="ana")
    other = give_labels(run, 3, labeller="ben")
    wrong = other[0]
    give_labels(run, 3, labeller="ben", value=lambda item: float(item != wrong))
    LabelSession.of(run, labeller="cem").skip()

    status = label_status(run)
    (pair,) = status.agreements

    assert (4, 4) == (status.labelled, status.sampled)
    assert [("ana", 4, 0), ("ben", 3, 0), ("cem", 0, 1)] == [
        (person.labeller, person.labelled, person.skipped)
        for person in status.labellers
    ]
    assert ("ana", "ben", 3) == (pair.first, pair.second, pair.agreement.n)
    assert pair.agreement.observed == pytest.approx(2 / 3)
    assert "ana, ben" == pair.cells()[0]


def test_stale_labels_are_counted() -> None:
    """After an edit of one case, the label of what it was is stale, and the others hold."""
    store = InMemoryRunStore()
    give = LabelSession.of(judged_run(store), labeller="ana")
    while give.current is not None:
        give.give("correct")

    status = label_status(judged_run(store, dataset=cases(6, expected_output="nil")))
    (person,) = status.labellers

    assert (5, 1) == (status.labelled, status.stale)
    assert (5, 1) == (person.labelled, person.stale)
    assert "1 stale label" in status.lines()[1]
