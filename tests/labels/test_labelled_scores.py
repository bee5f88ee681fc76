"""Labels beside the scores of the same content, and what an edit does to them."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc
import pytest

from tests.support.labelling import (
    CORRECT,
    RUBRIC,
    answers_right_or_wrong,
    cases,
    give_labels,
    grading_judge,
    judged_run,
    strict_judge,
)
from themis_lib import InMemoryRunStore, RunResult, RunStore
from themis_lib.errors import ConfigError
from themis_lib.labels.labelled_scores import LABELLED_SCORES, labelled_scores


def labelled_cases(run: RunResult, metric_id: str | None = None) -> set[str]:
    table = labelled_scores(run, metric_id)
    return set(table.filter(pc.is_valid(table["label"]))["case_id"].to_pylist())


ALL = {f"q{number}" for number in range(6)}


def answers_at_once(text: str) -> str:
    return answers_right_or_wrong(text)


def answers_q1_otherwise(text: str) -> str:
    return "I do not know." if "1 + 1" in text else answers_right_or_wrong(text)


# Each edit of a run whose six answers are labelled, and the cases that are labelled after it.
EDITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, ALL),
    "another run of another name": ({"name": "other"}, ALL),
    "another model, same texts": ({"model": answers_at_once}, ALL),
    "another model, one text differs": ({"model": answers_q1_otherwise}, ALL - {"q1"}),
    "the model's instructions, same texts": ({"instructions": "Add."}, ALL),
    "another judge": ({"judge": strict_judge}, ALL),
    "the judge's reasons": ({"metric": {**CORRECT, "explain": False}}, ALL),
    "the metric renamed": ({"metric": {**CORRECT, "id": "right"}}, ALL),
    "the judge's question": (
        {"metric": {**CORRECT, "instructions": "Is it right?"}},
        set(),
    ),
    "one expected output": (
        {"dataset": cases(6, expected_output="seven")},
        ALL - {"q0"},
    ),
    "one input": ({"dataset": cases(6, input="What is 0 + 0, please?")}, ALL - {"q0"}),
    "one case's metadata": ({"dataset": cases(6, metadata={"level": "hard"})}, ALL),
    "one case renamed": (
        {"dataset": cases(6, case_id="first")},
        (ALL - {"q0"}) | {"first"},
    ),
    "cases reordered": ({"dataset": cases(6)[::-1]}, ALL),
    "one case added": ({"count": 7}, ALL),
    "one case removed": ({"count": 5}, ALL - {"q5"}),
    "more samples, same texts": ({"samples": 2}, ALL),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_an_edit_costs_in_labels(edit: str) -> None:
    """A label is found as long as what was labelled is the same, and never otherwise."""
    store = InMemoryRunStore()
    give_labels(judged_run(store), 6)
    changes, expected = EDITS[edit]

    assert expected == labelled_cases(judged_run(store, **changes))


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, True),
        ({"explain": False}, True),
        ({"rubric": "Polite."}, False),
        ({"high": 7}, False),
        ({"reference": False}, False),
        ({"instructions": "Grade it."}, False),
    ],
)
def test_what_an_edit_of_a_rubric_costs(
    changes: dict[str, Any], is_found: bool
) -> None:
    """A label goes stale with the rubric, its scale and what the judge is shown."""
    store = InMemoryRunStore()
    run = judged_run(store, metric=RUBRIC, judge=grading_judge)
    give_labels(run, 6)

    edited = judged_run(store, metric={**RUBRIC, **changes}, judge=grading_judge)

    assert (ALL if is_found else set()) == labelled_cases(edited)


def test_a_metric_without_a_judge_can_be_labelled() -> None:
    """Labels of a metric that asks nobody go by the metric's id and what it compares."""
    store = InMemoryRunStore()
    metric = {"use": "builtin/contains", "id": "contained"}
    give_labels(judged_run(store, metric=metric), 6)
    found = labelled_cases(judged_run(store, metric=metric, name="again"))
    renamed = labelled_cases(judged_run(store, metric={**metric, "id": "other"}))

    assert (ALL, set()) == (found, renamed)


def test_every_scored_sample_is_a_row() -> None:
    """The table is the population; labels are means over labellers, each named."""
    store = InMemoryRunStore()
    run = judged_run(store, samples=2)
    first = give_labels(run, 3, labeller="ana")
    give_labels(run, 2, labeller="ben", value=lambda item: 0.0)

    table = labelled_scores(run, "correct")
    by_item = {row["item"]: row for row in table.to_pylist()}

    assert LABELLED_SCORES == table.schema
    assert 12 == table.num_rows
    assert [0.5, 0.5, 1.0] == [by_item[item]["label"] for item in first]
    assert [("ana", 1.0), ("ben", 0.0)] == by_item[first[0]]["labels"]
    # Two samples of one text are one item: three of six were drawn.
    assert {0.5, None} == set(table["inclusion_probability"].to_pylist())
    assert 6 == pc.sum(pc.is_valid(table["label"])).as_py()


def test_labels_of_chosen_people() -> None:
    """Labels of other people count neither as labels nor in the sample."""
    run = judged_run(InMemoryRunStore())
    give_labels(run, 4, labeller="ana")
    (item,) = give_labels(run, 1, labeller="ben", value=lambda item: 0.0)

    table = labelled_scores(run, labellers={"ben"})
    labelled = table.filter(pc.is_valid(table["label"])).to_pylist()

    assert [(item, 0.0)] == [(row["item"], row["label"]) for row in labelled]
    assert [1 / 6] == pytest.approx([row["inclusion_probability"] for row in labelled])


def test_a_later_label_replaces_the_earlier_and_both_stay() -> None:
    """Readers see a labeller's last label; a withdrawn label is none."""
    from themis_lib.labels.stored_labels import LabelStore

    run = judged_run(InMemoryRunStore())
    give_labels(run, 3)
    give_labels(run, 2, value=lambda item: 0.0)
    give_labels(run, 1, value=lambda item: None)

    labels = labelled_scores(run)["label"].drop_null().to_pylist()

    assert [0.0, 1.0] == sorted(labels)
    assert 6 == LabelStore(run.store).all().num_rows


def test_skipped_items_lower_the_probabilities() -> None:
    """Of six items three were reached and one skipped: two labels for six items."""
    run = judged_run(InMemoryRunStore())
    skipped = give_labels(run, 3)[1]
    give_labels(run, 3, value=lambda item: None if item == skipped else 1.0)

    found = labelled_scores(run)["inclusion_probability"].drop_null().to_pylist()

    assert [2 / 6, 2 / 6] == pytest.approx(found)


OTHER_POPULATIONS: dict[str, tuple[dict[str, Any], bool]] = {
    "the same answers, another judge": ({"judge": strict_judge}, True),
    "a part of the cases": ({"count": 4}, True),
    "a case that could not be drawn": ({"count": 7}, False),
    "a text that could not be drawn": ({"model": answers_q1_otherwise}, False),
}


@pytest.mark.parametrize("other", OTHER_POPULATIONS)
def test_labels_of_another_run_count_if_its_draw_had_every_item(other: str) -> None:
    """A draw is a sample of each population that it could have drawn all of."""
    store = InMemoryRunStore()
    give_labels(judged_run(store), 5, method="active")
    changes, is_sample = OTHER_POPULATIONS[other]

    table = labelled_scores(judged_run(store, **changes))

    assert pc.any(pc.is_valid(table["label"])).as_py()
    assert is_sample == pc.any(pc.is_valid(table["inclusion_probability"])).as_py()


def test_a_grown_dataset_keeps_its_labels_in_the_order() -> None:
    """After cases are added, old items come in the same relative order, and a sitting
    that goes on asks only for those between them.
    """
    from themis_lib.labels.draws import draw_items
    from themis_lib.labels.items import items_of

    store = InMemoryRunStore()
    small = draw_items(items_of(judged_run(store, count=6)))
    large = draw_items(items_of(judged_run(store, count=12)))

    assert list(small.items) == [item for item in large.items if item in small.items]


@pytest.mark.parametrize(
    ("metric_id", "message"),
    [("corect", "did you mean 'correct'"), ("length", "'correct'")],
)
def test_an_unknown_metric(metric_id: str, message: str) -> None:
    """A metric that the run has not is refused with those that it has."""
    run = judged_run(InMemoryRunStore())

    with pytest.raises(ConfigError, match=message):
        labelled_scores(run, metric_id)


def test_labels_reach_another_store_as_files(tmp_path: Any) -> None:
    """Labels copied as files into another store are found by its runs."""
    run = judged_run(RunStore(str(tmp_path / "one")))
    give_labels(run, 3)
    (tmp_path / "one/labels").rename(tmp_path / "labels")
    other = judged_run(RunStore(str(tmp_path / "two")))
    (tmp_path / "labels").rename(tmp_path / "two/labels")

    assert 3 == len(labelled_cases(other))
