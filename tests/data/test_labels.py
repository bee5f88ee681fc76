"""Expected outputs behind labels: positions, letters and texts of options."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib.core.config import LabelMap
from themis_lib.data.labels import expected_of_label
from themis_lib.data.mapped_cases import mapped_cases
from themis_lib.errors import DatasetError

ROW = {"options": ["red", "blue", "7"]}


def expected(answer: Any, **settings: Any) -> Any:
    label = LabelMap.model_validate({"column": "answer", **settings})
    return expected_of_label(label, {**ROW, "answer": answer})


@pytest.mark.parametrize(
    ("answer", "settings", "letter"),
    [
        (1, {}, "B"),
        ("1", {}, "B"),
        (1.0, {}, "B"),
        (1, {"first": 1}, "A"),
        ("b", {}, "B"),
        (" C ", {}, "C"),
        ("blue", {"choices": "options"}, "B"),
        (2, {"choices": "options"}, "C"),
        ("7", {"choices": "options"}, "C"),
        (None, {}, None),
        ("", {}, None),
    ],
)
def test_position_letter_and_text_are_one_option(
    answer: Any, settings: dict[str, Any], letter: str | None
) -> None:
    """The same letter, in whichever of the ways a data set names the right option."""
    assert letter == expected(answer, map="letter", **settings)


@pytest.mark.parametrize(
    ("answer", "settings", "value"),
    [
        (1, {"map": ["no", "yes"]}, "yes"),
        ("0", {"map": ["no", "yes"]}, "no"),
        (2, {"map": ["no", "yes"], "first": 1}, "yes"),
        ("entailment", {"map": {"entailment": "A", "neutral": "B"}}, "A"),
        (0, {"map": {0: "no", 1: "yes"}}, "no"),
        (True, {"map": {True: 1, False: 0}}, 1),
    ],
)
def test_lists_and_objects_map_labels(
    answer: Any, settings: dict[str, Any], value: Any
) -> None:
    """By position and by key; keys that YAML reads as numbers are found, too."""
    assert value == expected(answer, **settings)


@pytest.mark.parametrize(
    ("answer", "settings", "message"),
    [
        (4, {"map": "letter", "choices": "options"}, "0 to 2"),
        (3, {"map": "letter", "choices": "options"}, "0 to 2"),
        (0, {"map": "letter", "first": 1}, "1 to 26"),
        (-1, {"map": "letter"}, "not a position"),
        (True, {"map": "letter"}, "not a position"),
        ("green", {"map": "letter", "choices": "options"}, "'options'"),
        ("D", {"map": "letter", "choices": "options"}, "'options'"),
        (2, {"map": ["no", "yes"]}, "no position, 0 to 1"),
        ("yes", {"map": ["no", "yes"]}, "no position"),
        ("entailmnt", {"map": {"entailment": 1}}, "did you mean 'entailment'"),
        ("A", {"map": "letter", "choices": "answer"}, "no list of options"),
    ],
)
def test_label_without_a_place_is_an_error(
    answer: Any, settings: dict[str, Any], message: str
) -> None:
    """It names the column: a case that nobody can answer would score 0."""
    with pytest.raises(ValueError, match="column '") as failure:
        expected(answer, **settings)

    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("answer", "options", "letters"),
    [
        ("A", ["B", "A"], "A and B"),
        ("1", ["0", "4", "1", "2"], "B and C"),
        (1, [1, 2, 3], "A and B"),
        ("red", ["red", "blue", "red"], "A and C"),
    ],
)
def test_label_that_could_be_two_options_is_an_error(
    answer: Any, options: list[Any], letters: str
) -> None:
    """It is the text of one option, and the letter or the position of another."""
    label = LabelMap(column="answer", map="letter", choices="options")

    with pytest.raises(ValueError, match=f"could be {letters}; leave `choices` out"):
        expected_of_label(label, {"answer": answer, "options": options})


@pytest.mark.parametrize(
    ("settings", "letter"),
    [({}, "B"), ({"choices": "options", "first": None}, "C")],
)
def test_what_labels_are_can_be_said(settings: dict[str, Any], letter: str) -> None:
    """Positions, or texts alone."""
    label = LabelMap.model_validate({"column": "answer", "map": "letter", **settings})
    row = {"answer": "1", "options": ["0", "4", "1", "2"]}

    assert letter == expected_of_label(label, row)


def test_option_at_its_own_position_is_not_ambiguous() -> None:
    label = LabelMap(column="answer", map="letter", choices="options")

    assert "C" == expected_of_label(label, {"answer": 2, "options": [0, 1, 2]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"map": ["no", "yes"], "choices": "options"}, "`choices` is for"),
        ({"map": "letter", "first": None}, "name their column, `choices`"),
        ({"map": ["no", "yes"], "first": None}, "name their column, `choices`"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    """With the dataset, before any row is read."""
    columns = {"input": "options", "expected_output": {"column": "answer", **settings}}

    with pytest.raises(DatasetError, match=rf"columns\.expected_output: .*{message}"):
        mapped_cases([{**ROW, "answer": 1}], columns)
