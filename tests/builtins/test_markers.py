"""Markers of a final answer: where they begin and where the answer begins."""

from __future__ import annotations

import pytest

from themis_lib.builtins.markers import IS, all_markers, is_supposed, marked

MARKERS = all_markers({"esult": f"esult{IS}"}, gap=r"\s*")


def answers(text: str) -> list[str]:
    """Return what is behind each marker, the last marker first."""
    return [text[end:] for _, end in marked(text, MARKERS)]


def test_last_marker_comes_first() -> None:
    """Whatever kind it is of: models correct themselves."""
    text = "The answer is 1.\n#### 2"

    assert ["2", "1.\n#### 2"] == answers(text)


def test_marker_begins_at_its_literal() -> None:
    """And ends where the answer begins, behind the gap."""
    assert [(0, 5)] == marked("#### 18", MARKERS)


@pytest.mark.parametrize(
    "text",
    [
        "the answer is 5",
        "Answer: 5",
        "**Answer** = 5",
        "answer will be 5",
        "answer → 5",
    ],
)
def test_words_that_link_an_answer_to_its_marker(text: str) -> None:
    """A verb, a colon, an arrow or an equals sign, in markup or not."""
    assert ["5"] == answers(text)


@pytest.mark.parametrize("text", ["answers vary", "the answer 5", "no marker", ""])
def test_word_without_a_link_is_no_marker(text: str) -> None:
    """It only speaks of answers."""
    assert [] == answers(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A: 5", ["5"]),
        ("Q: 2+3\n  **A: 5", ["5"]),
        ("Q&A: 5", []),
        ("see A: 5", []),
        ("a long line that ends in A: 5", []),
    ],
)
def test_a_with_a_colon_marks_an_answer_at_the_beginning_of_a_line(
    text: str,
    found: list[str],
) -> None:
    """Behind spaces and markup as well; elsewhere it is a part of the sentence."""
    assert found == answers(text)


def test_marker_reaches_a_thousand_characters() -> None:
    """What is behind a longer gap is not what it marks."""
    near, far = "answer is" + " " * 500 + "5", "answer is" + " " * 5000 + "5"

    assert [(1, near.index("5"))] == marked(near, MARKERS)
    assert [(1, 1001)] == marked(far, MARKERS)


def test_markers_of_a_kind_of_answer() -> None:
    """Beside those of every kind."""
    assert ["5"] == answers("The result is 5")


@pytest.mark.parametrize(
    "text",
    ["Wrong answer: 5", "not the answer: 5", "错误答案：5", "falsche Antwort: 5"],
)
def test_refuted_marker_is_left_out(text: str) -> None:
    """What follows it is not the answer."""
    assert [] == answers(text)


def test_supposed_marker_comes_after_all_others() -> None:
    """Although it is the last of the text."""
    text = "Answer: 1. With one more, the answer would be 2"

    assert text.endswith(answers(text)[1])
    assert answers(text)[0].startswith("1.")


@pytest.mark.parametrize(
    ("statement", "supposed"),
    [
        ("The answer is ", False),
        ("If we add them, the answer is ", False),
        ("It rains. Had it snowed, the answer is ", True),
        ("Had it snowed. The answer is ", False),
        ("The answer would be ", True),
        ("如果下雪，答案是", True),
    ],
)
def test_supposition_is_one_of_its_sentence(statement: str, supposed: bool) -> None:
    """An earlier sentence supposes nothing about this one."""
    begin = max(map(statement.rfind, ("answer", "答案")))

    assert supposed == is_supposed(f"{statement}5.", begin, len(statement))
    assert is_supposed(f"{statement}5?", begin, len(statement))
