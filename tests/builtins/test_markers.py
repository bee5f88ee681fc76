"""Markers of a final answer: where they begin and where the answer begins."""

from __future__ import annotations

import pytest

from themis_lib.builtins.markers import IS, compile_markers, marked

MARKERS = compile_markers({"nswer": f"nswer{IS}"}, gap=r"\s*")


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


def test_marker_reaches_a_thousand_characters():
    """What is behind a longer gap is not what it marks."""
    near, far = "answer is" + " " * 500 + "5", "answer is" + " " * 5000 + "5"
    markers = compile_markers({"nswer": rf"nswer{IS}"}, gap=r"\s*")

    assert [(1, near.index("5"))] == marked(near, markers)
    assert [(1, 1001)] == marked(far, markers)
