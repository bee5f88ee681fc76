"""Options: which one a text names as the answer, and which it only mentions."""

from __future__ import annotations

import pytest

from tests.support.parsing import parsed, value
from themis_lib.builtins.choices import named_choices
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

    assert (expected, expected is None) == (result.value, result.error is not None)


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

    assert (["B"], ["b"]) == (
        named_choices(answer, "ABCD"),
        named_choices(answer, "abcd"),
    )


def test_last_statement_is_the_answer() -> None:
    """A statement outweighs a later conclusion; of statements the last counts."""
    assert ["B"] == named_choices("The answer is A. No, B is correct. So C.", "ABCD")
    assert ["C"] == named_choices("I looked at A and B. So C.", "ABCD")


@pytest.mark.parametrize("word", ["USB", "X_B", "O'B", "O’B"])
def test_letter_of_a_word_is_no_option(word: str) -> None:
    """Even where the word itself is called correct."""
    assert ["B"] == named_choices("B is correct", "ABCD")
    assert [] == named_choices(f"{word} is correct", "ABCD")


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("Answer: A, B", "A, B"),
        ("Answer: A & D", "A, D"),
        ("Answer: A + C", "A, C"),
        ("Answer: A/B", "A, B"),
        ("Answer: A、C", "A, C"),
        ("Answer: A，C", "A, C"),
        ("Answer: AC", "A, C"),
        ("Answer: B C", "B, C"),
        ("Answer: [A, C]", "A, C"),
        ("Answer: b, c", "B, C"),
        ("Answer: **A**, **C**", "A, C"),
        ("Answer:\n- A\n- C", "A, C"),
        ("Answer: A, B and D", "A, B, D"),
        ("Answer: A and also C", "A, C"),
        ("Answer: A or maybe B", "A, B"),
        ("The answer is (A), (B)", "A, B"),
        ("The answer is either B or C.", "B, C"),
        ("The answer is B plus C", "B, C"),
        ("The answers are (A) Paris and (C) Rome.", "A, C"),
        ("Both A and C are correct.", "A, C"),
        ("A, B and D are correct", "A, B, D"),
        ("I choose A and C.", "A, C"),
        ("**A** and **C**", "A, C"),
        ("A) Rome\nB) Paris", "A, B"),
        ("A\nC", "A, C"),
        (r"\boxed{A} and \boxed{C}", "A, C"),
        (r"$\boxed{A}$, $\boxed{C}$", "A, C"),
        (r"\boxed{A, C}", "A, C"),
        (r"\boxed{A \text{ and } C}", "A, C"),
        ("Die Antwort ist A und C", "A, C"),
        ("La respuesta es A y C", "A, C"),
        ("La réponse est A et C.", "A, C"),
        ("Ответ: A и C", "A, C"),
        ("答案是A和C", "A, C"),
        ("答えはAとCです", "A, C"),
        ("정답은 A와 C입니다", "A, C"),
    ],
)
def test_several_options_are_no_answer(output: str, named: str) -> None:
    """However they are joined; the reason names them."""
    assert f"several options are named: {named}" == parsed(ChoiceLetter(), output).error


@pytest.mark.parametrize(
    "output",
    [
        "Answer: B, B",
        r"\boxed{B} and \boxed{B}",
        "The answer is B, because A is too small",
        "The answer is B, A is wrong.",
        "The answer is B and A is wrong.",
        "The answer is B, not A or C.",
        "The answer is B (and not C).",
        "The answer is B rather than A.",
        "The answer is B; C is a distractor.",
        "Answer: 'B'",
        "The answer, therefore, is B.",
        "The answer to the question is B.",
    ],
)
def test_one_option_beside_other_words_is_the_answer(output: str) -> None:
    """The same option twice is one; a new clause about another names no second one."""
    assert "B" == value(ChoiceLetter(), output)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("Correct answer: B\nIncorrect answer: C", "B"),
        ("Answer: B\nNot the answer: C", "B"),
        ("The answer is B. I ruled out A.", "B"),
        ("The answer is B. The answer is hardly A.", "B"),
        ("The answer is B. I don't think the answer is A.", "B"),
        ("The answer is B. It is not true that A is correct.", "B"),
        ("A) Wrong.\nB) Right.", "B"),
        ("B is correct. A would be correct if it were heavier.", "B"),
        ("Eliminate A and C. So B.", "B"),
        ("**B**, not **A**", "B"),
        ("不选A，选B", "B"),
        ("错误答案是A，正确答案是B。", "B"),
        ("不正解はA、正解はBです", "B"),
        ("오답은 A, 정답은 B입니다", "B"),
        ("Неправильный ответ: A. Правильный ответ: B.", "B"),
        ("Die falsche Antwort ist A. Die Antwort ist B.", "B"),
        ("Wrong answer: A", None),
        ("The incorrect answer is A.", None),
        ("A is hardly the answer.", None),
        ("Answer: A is wrong", None),
        ("The answer isn't A.", None),
        ("Cevap A değil", None),
        ("答えはAではありません", None),
        ("정답은 A가 아닙니다", None),
    ],
)
def test_refuted_option_is_no_answer(output: str, expected: str | None) -> None:
    """Before or behind the stated one, or alone."""
    assert expected == value(ChoiceLetter(), output)


@pytest.mark.parametrize(
    "supposed",
    [
        "Had it asked about mass, the answer would be D.",
        "Were it heavier, the answer is D.",
        "If it were larger, the answer would be D.",
        "Some would say the answer is D.",
        "One might mention Answer: D.",
        "At first glance the answer is D.",
        "My previous answer was D.",
        "The answer is D?",
        "Wenn es größer wäre, wäre die Antwort: D.",
    ],
)
def test_supposed_option_never_overrides_a_stated_one(supposed: str) -> None:
    """In whatever order; alone it is what the text names."""
    assert "C" == value(ChoiceLetter(), f"The answer is C. {supposed}")
    assert "C" == value(ChoiceLetter(), f"{supposed} The answer is C.")
    assert "D" == value(ChoiceLetter(), supposed)


@pytest.mark.parametrize(
    "output", ["Ｂ", "（B）", "答案：Ｂ", "Answer: Ⓑ", "正解：「B」", "答案：【B】"]
)
def test_letters_and_brackets_of_other_widths(output: str) -> None:
    """Full-width, circled, and in the quotes of other scripts."""
    assert "B" == value(ChoiceLetter(), output)
