"""Options: which one a text names as the answer, and which it only mentions."""

from __future__ import annotations

import pytest

from tests.support.parsing import parsed, value
from themis_lib.builtins.choices import named_choice
from themis_lib.builtins.parsers import ChoiceLetter
from themis_lib.errors import ComponentError

CHOICES: list[tuple[str, str | None]] = [
    ("The answer is B. I am sure", "B"),
    ("(C)", "C"),
    ("B)", "B"),
    ("Answer: D", "D"),
    ("**A**", "A"),
    ("b", "B"),
    ("I think A is wrong, so the answer is C", "C"),
    ("A", "A"),
    ("b.", "B"),
    ('"B"', "B"),
    ("$B$", "B"),
    ("the answer is (b).", "B"),
    ("The answer is: **C) Rome**", "C"),
    ("Answer: **B. Paris**", "B"),
    ("#### B", "B"),
    ("The correct answer is therefore C, since A is", "C"),
    ("The best answer is option (D) because it fits", "D"),
    ("The correct option is C", "C"),
    ("Choice: c", "C"),
    ("<answer>D</answer>", "D"),
    ("A: B", "B"),
    (r"\boxed{B}", "B"),
    (r"so $\boxed{\text{(C)}}$", "C"),
    ("ANSWER: D", "D"),
    ("The answer is A because", "A"),
    ("The answer is A.\nNo, the answer is D. Good.", "D"),
    ("B is correct", "B"),
    ("Option (C) is the best answer.", "C"),
    ("The answer is not A, it is B.", "B"),
    ("so D.", "D"),
    ("I choose B.", "B"),
    ("Therefore, (C).", "C"),
    ("B) Paris", "B"),
    ("Let me think.\n\nC", "C"),
    ("B\n\nIt is the capital.", "B"),
    ("**B** because", "B"),
    ("A) is wrong.\nB) is right.", "B"),
    # Not named as the answer.
    ("the answer is a bit long", None),
    ("Answer: A person", None),
    ("A cat", None),
    ("I am sure", None),
    ("", None),
    ("A) Rome\nB) Paris\nC) Bonn", None),
    ("Neither A nor B is correct", None),
    ("The answer is B or C", None),
    ("I think **A** is wrong", None),
    ("so A is wrong", None),
    ("Berlin", None),
    ("A: Paris", None),
    ("E", None),
]


@pytest.mark.parametrize(("output", "expected"), CHOICES)
def test_choice_is_the_option_named_as_the_answer(output, expected):
    """Never the last capital of the text: an option that is only mentioned is no
    answer.
    """
    result = parsed(ChoiceLetter(), output)

    assert (expected, None if expected else "no option is named as the answer") == (
        result.value,
        result.error,
    )


@pytest.mark.parametrize(
    ("choices", "output", "expected"),
    [
        ("ABCDEFGHIJ", "The answer is B. I am sure", "B"),
        ("ABCDEFGHIJ", "The answer is I.", "I"),
        ("ABCDEFGHIJ", "Answer: I think so", None),
        ("abcd", "Answer: B", "b"),
        ("1234", "The answer is 3.", "3"),
        ("1234", "The answer is 30.", None),
    ],
)
def test_choices_are_a_setting(choices, output, expected):
    """The answer is written as in `choices`."""
    assert expected == value(ChoiceLetter(choices=choices), output)


@pytest.mark.parametrize("choices", ["", "A", "AA", "Aa", "A-D", "A B", 3, ["A", "B"]])
def test_unfit_choices_are_refused(choices):
    """Options are two or more different letters or digits."""
    with pytest.raises(ComponentError, match=r"builtin/choice_letter: choices="):
        ChoiceLetter(choices=choices)


@pytest.mark.parametrize("written", ["b", "B", "(b)"])
def test_option_is_spelled_as_in_the_choices(written: str) -> None:
    """However the text writes it."""
    answer = f"The answer is {written}."

    assert ("B", "b") == (
        named_choice(answer, "ABCD"),
        named_choice(answer, "abcd"),
    )


def test_last_statement_is_the_answer() -> None:
    """A statement outweighs a later conclusion; of statements the last counts."""
    assert "B" == named_choice("The answer is A. No, B is correct. So C.", "ABCD")
    assert "C" == named_choice("I looked at A and B. So C.", "ABCD")


@pytest.mark.parametrize("word", ["USB", "X_B", "O'B", "O’B"])
def test_letter_of_a_word_is_no_option(word: str) -> None:
    """Even where the word itself is called correct."""
    assert "B" == named_choice("B is correct", "ABCD")
    assert named_choice(f"{word} is correct", "ABCD") is None
