"""Files of labels: taken once, and refused whole where anything in them is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.labelling import (
    CORRECT,
    PAIRWISE,
    cases,
    judged_run,
    pairing_judge,
)
from themis_lib import InMemoryRunStore, LabelSession, RunResult
from themis_lib.errors import ConfigError
from themis_lib.labels.exchange import import_labels
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.labels.stored_labels import LabelStore

Content = dict[str, Any]


@pytest.fixture
def run() -> RunResult:
    return judged_run(InMemoryRunStore())


def file_of(run: RunResult, choices: list[str | None]) -> Content:
    """What a page saves for the first items of the uniform draw."""
    session = LabelSession.of(run, labeller="ana")
    labels = [
        {
            "item": item,
            "choice": choice,
            "note": None,
            "labelled_at": f"2026-11-30T09:30:{second:02d}.000Z",
        }
        for second, (item, choice) in enumerate(
            zip(session.waiting, choices, strict=False)
        )
    ]
    return {
        "format": "themis-labels/1",
        "metric_id": session.items.question.metric_id,
        "question": session.items.question.fingerprint,
        "draw": session.draw.name,
        "method": "uniform",
        "seed": 0,
        "labeller": "ana",
        "labels": labels,
    }


def written(content: object, folder: Path) -> Path:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_labels_are_imported_once(run: RunResult, tmp_path: Path) -> None:
    """A file's labels are in the store and in the sample; importing it again, also with
    a run of equal content, changes nothing.
    """
    path = written(file_of(run, ["correct", "incorrect", None]), tmp_path)

    first = import_labels(run, path)
    again = import_labels(judged_run(run.store, name="again"), path)

    assert (3, 0) == (first.new, first.known)
    assert (0, 3) == (again.new, again.known)
    assert 3 == LabelStore(run.store).all().num_rows
    table = labelled_scores(run)
    assert [0.0, 1.0] == sorted(table["label"].drop_null().to_pylist())
    assert 2 == len(table["inclusion_probability"].drop_null())


def test_labels_of_two_answers_are_turned_round(tmp_path: Path) -> None:
    """The choice in a file is the one that was shown."""
    run = judged_run(InMemoryRunStore(), count=8, metric=PAIRWISE, judge=pairing_judge)
    import_labels(run, written(file_of(run, ["A"] * 8), tmp_path))

    assert {0.0, 1.0} == set(labelled_scores(run)["label"].to_pylist())


def test_another_name_may_be_given(run: RunResult, tmp_path: Path) -> None:
    """`labeller` replaces the name in the file."""
    path = written({**file_of(run, ["correct"]), "labeller": ""}, tmp_path)

    assert "ben" == import_labels(run, path, labeller="ben").labeller


def changed(**fields: Any) -> Callable[[Content], object]:
    return lambda content: {**content, **fields}


def first_label(**fields: Any) -> Callable[[Content], object]:
    def change(content: Content) -> object:
        return {**content, "labels": [{**content["labels"][0], **fields}]}

    return change


WRONG: dict[str, tuple[Callable[[Content], object], str]] = {
    "no JSON": (lambda content: "{", "is no JSON"),
    "another file": (lambda content: [1, 2], "no file of labels"),
    "another format": (changed(format="themis-labels/9"), "themis-labels/9"),
    "an unknown field": (changed(extra=1), "extra"),
    "a missing field": (lambda content: {"format": "themis-labels/1"}, "metric_id"),
    "no name": (changed(labeller=" "), "labeller ' '"),
    "another metric": (changed(metric_id="other"), "no metric 'other'"),
    "another question": (changed(question="0" * 32), "another question"),
    "another run's draw": (changed(draw="0" * 32), "another run"),
    "an unknown method": (changed(method="best"), "method"),
    "an unknown item": (first_label(item="0" * 32), r"labels\[0\].*no item"),
    "an unknown choice": (first_label(choice="maybe"), r"labels\[0\].*no choice"),
    "no time": (first_label(labelled_at="soon"), r"labels\[0\].*no time"),
    "a time without zone": (first_label(labelled_at="2026-01-01T00:00:00"), "zone"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_whole(
    name: str, run: RunResult, tmp_path: Path
) -> None:
    """Nothing of a wrong file is kept, and the one error names it."""
    change, message = WRONG[name]
    path = written(change(file_of(run, ["correct", "incorrect"])), tmp_path)

    with pytest.raises(ConfigError, match=message) as caught:
        import_labels(run, path)

    assert "labels.json" in str(caught.value)
    assert 0 == LabelStore(run.store).all().num_rows


def test_labels_of_a_changed_rubric_are_refused(run: RunResult, tmp_path: Path) -> None:
    """Labels on a page of before an edit of the question are not taken for the new one."""
    path = written(file_of(run, ["correct"]), tmp_path)
    edited = judged_run(
        run.store, dataset=cases(6), metric={**CORRECT, "instructions": "Is it?"}
    )

    with pytest.raises(ConfigError, match="another question"):
        import_labels(edited, path)


def test_a_missing_file(run: RunResult, tmp_path: Path) -> None:
    """A file that is not there is one line."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        import_labels(run, tmp_path / "none.json")
