"""Numbers: which one a text ends on, and what is none."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.parsing import parsed, value
from themis_lib.builtins.numbers import read_number
from themis_lib.builtins.parsers import Number
from themis_lib.builtins.reasons import NoNumber

NUMBERS: list[tuple[str, float | None]] = [
    ("A: 1,234.50", 1234.5),
    ("#### 18", 18),
    ("$5", 5),
    ("1/2", 0.5),
    ("-3", -3),
    ("−3", -3),
    ("12%", 12),
    ("1e5", 100000),
    ("3 1/2", 3.5),
    ("18.", 18),
    ("18.00", 18),
    ("1,450,000", 1450000),
    (".5", 0.5),
    ("1,2,3", None),
    ("So she has 7 left.", 7),
    ("**18**", 18),
    ("１８", 18),
    ("答案是18元", 18),
    ("A: -1.8 billion", -1_800_000_000),
    ("5km", 5),
    # Subtraction, signs, hyphens and bullets.
    ("16 - 3 = 13", 13),
    ("13 = 16 - 3", None),
    ("so 16 -3", None),
    ("5-10", None),
    ("(2) - 3", None),
    ("x = -3", -3),
    ("x = - 3", -3),
    ("-$5", -5),
    ("$-5", -5),
    ("- 3 apples", 3),
    ("fell to -3 °C", -3),
    ("$-3$", -3),
    # Digits that are no number of their own.
    ("GPT4 says 7", 7),
    ("7, says GPT-4", 7),
    ("7 in H2O", 7),
    ("7 = x_1", 7),
    ("25 cm^2", 25),
    ("25 m^{-2}", 25),
    ("7 in version 1.2.3", 7),
    ("No.5", 5),
    ("so...5", 5),
    ("GPT-4", None),
    ("", None),
    ("none", None),
    # Markers.
    ("The answer is 18. She sold 9.", 18),
    ("The answer is 18.\nNo, the answer is 20. (Not 3.)", 20),
    ("**Answer:** $18 in 2 days", 18),
    ("Final answer: 18 (of 20)", 18),
    ("ANSWER = 18 of 20", 18),
    ("#### 18\nThat took 3 steps.", 18),
    (r"\boxed{42} after 3 steps", 42),
    (r"so \(\boxed{-3}\) in 2", -3),
    ("A: 18\nB: 3 was wrong", 18),
    ("<answer>18</answer> in 3 steps", 18),
    ('{"answer": 18, "steps": 3}', 18),
    ("The answer is 2 * 9 = 18 dollars, not 5", 18),
    ("The answer is:\n\n18\n\n(3 steps)", 18),
    # Markers of something else.
    ("Answer: Ann sells 16 - 3 = 13", 13),
    ("#### 2. Add the prices\n3 + 4 = 7", 7),
    ("</answer> 3 and then 4", 4),
    ("The answer is:\n1. Add them\n3 + 4 = 7", 7),
    ("Q&A: 5, then 6", 6),
    ("The answer is not 5 but 6", 6),
    # LaTeX, exponents and fractions.
    (r"\boxed{\frac{1}{2}}", 0.5),
    (r"-\dfrac{3}{4}", -0.75),
    (r"2\frac12", 2.5),
    (r"\$1{,}234", 1234),
    (r"1\,000", 1000),
    ("½", 0.5),
    ("3½", 3.5),
    ("1/0", None),
    ("10^5", 100000),
    ("2^10", 1024),
    ("2^{-1}", 0.5),
    ("5 × 10^3", 5000),
    (r"5 \times 10^{3}", 5000),
    ("1.5e-3", 0.0015),
    ("on 12/25/2020", None),
    ("A: 12/25/2020", None),
    # Beyond floats.
    ("9" * 30, int("9" * 30)),
    ("1e30", 10**30),
    ("9" * 5000, None),
    ("9" * 400 + ".5", None),
    ("2^9999", None),
]


@pytest.mark.parametrize(("output", "expected"), NUMBERS)
def test_number_is_the_final_number(output, expected):
    """The number behind the last marker of an answer, else the last in the text; whole
    ones are integers. A number that is a part of something larger is none.
    """
    result = parsed(Number(), output)

    assert expected == result.value
    assert type(expected) is type(result.value)
    assert (expected is None) == (result.error is not None)
    assert (result.error or "no number in the output").startswith("no number in the")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (4, 4),
        (4.0, 4),
        (0.5, 0.5),
        (-0.0, 0),
        (1e23, 10**23),
        (True, None),
        ([4], None),
        ({"n": 4}, None),
    ],
)
def test_number_of_what_is_no_text(output, expected):
    """A JSON number is itself, whole floats as integers; true is none, and nothing is
    looked up inside.
    """
    assert repr(expected) == repr(value(Number(), output))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("12%", 0.12),
        (r"12.3 \%", 0.123),
        ("100%", 1),
        ("12", 12),
        ("-5%", -0.05),
        ("5 % and 8", 8),
        ("5 % of 8", 0.05),
        ("5 percent", 0.05),
    ],
)
def test_percentage_is_a_fraction_on_request(output, expected):
    """With `percent: fraction` the sign divides by a hundred; other numbers stay as
    they are.
    """
    assert repr(expected) == repr(value(Number(percent="fraction"), output))


@given(st.integers())
def test_integers_are_read_to_the_last_digit(number):
    """With separators or without, alone or behind a marker."""
    assert [number] * 3 == [
        read_number(text)
        for text in (f"{number}", f"{number:,}", f"5\n#### {number:,}.")
    ]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_as_python_writes_them(number):
    """No digit is lost, whatever the exponent."""
    assert number == float(read_number(f"The answer is {number!r}"))


@given(st.integers(-999, 999), st.integers(1, 999))
def test_fractions_are_read_as_their_value(numerator, denominator):
    """As text and as LaTeX."""
    expected = float(Fraction(numerator, denominator))

    assert expected == read_number(f"{numerator}/{denominator}")
    assert expected == read_number(rf"\boxed{{\frac{{{numerator}}}{{{denominator}}}}}")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (r"\boxed{x = 7}", 7),
        (r"\boxed{7 \text{ cm}^2}", 7),
        (r"\boxed{3 + 4 = 7}", 7),
        (r"\boxed{7 apples}", 7),
        (r"\boxed{}, that is 7", 7),
        (r"7 sides, so \boxed{\pi}", None),
        (r"\boxed{7k}", None),
        (r"\boxed{7!}", None),
        (r"\boxed{7 \text{ of } 8}", None),
        (r"\boxed{1,7}", None),
        (r"\boxed{B} of 7", None),
        (r"\boxed{|-7|}", None),
        (r"x = \boxed{7} or x = \boxed{8}", None),
        (r"$\boxed{7}$ and $\boxed{8}$", None),
        (r"First \boxed{7}. No, it is \boxed{8}", 8),
    ],
)
def test_box_holds_the_number_alone_or_none(output, expected):
    """What is in a box is the answer: no number beside the box takes its place, and no
    piece of what it holds.
    """
    assert expected == value(Number(), output)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("## Answer\n\n42 km\n\n## Notes\n3 sources", 42),
        ("**Final Answer**\n$42$\n\nCertainty: 80%", 42),
        ("FINAL ANSWER\n42\nCONFIDENCE: 90%", 42),
        (r"$$\text{Answer: } \$42$$ in 3 steps", 42),
        ("The answer is USD 42, paid in 3 parts", 42),
        ("The answer is approximately 4.2 (to 1 decimal)", 4.2),
        ("The answer is [42], by 2 methods", 42),
    ],
)
def test_answer_is_found_behind_headings_currencies_and_hedges(output, expected):
    """As it is behind a marker in running text."""
    assert expected == value(Number(), output)


@pytest.mark.parametrize(
    "output",
    [
        "There are 3 pears. The answer is unknown.",
        "From 4 sides the answer is √2",
        r"From 4 sides the answer is \frac{x}{2}",
        "x was 3, but the answer is x > 4",
    ],
)
def test_no_number_takes_the_place_of_another_answer(output):
    """An answer that begins with no number is none; an earlier number is not it."""
    assert value(Number(), output) is None


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("5-6 hours", "part of a range or a difference: '5-6 hours'"),
        ("so 2.5π", "part of an expression: 'so 2.5π'"),
        ("1.2.3", "digits of no known value: '1.2.3'"),
        ("1, 2 and 3", "part of several numbers: '1, 2 and 3'"),
        (r"\boxed{\sqrt{x}}", r"the answer is another: '√{x}'"),
        ("x" * 30 + " > 5 " + "y" * 30, f"part of an inequality: '> 5 {'y' * 22}…'"),
        ("4" * 5000, f"digits of no known value: '{'4' * 24}…'"),
    ],
)
def test_reason_shows_what_the_number_is_a_part_of(output, reason):
    """In a few words, with the beginning of the text in question."""
    assert NoNumber(reason) == read_number(output)
    assert f"no number in the output: {reason}" == parsed(Number(), output).error


def test_text_without_a_digit_needs_no_reason():
    """There is nothing that could be told about it."""
    assert NoNumber() == read_number("none")
    assert "no number in the output" == parsed(Number(), "none").error


@pytest.mark.parametrize(
    "text",
    [
        "1, " * 20_000 + "x",
        "1,2" * 20_000,
        "{" + " " * 50_000,
        "(" * 50_000 + "5",
        "5" + ")" * 50_000,
        "- " * 50_000,
        "A: " + "1 + " * 5_000 + "x",
        "Confidence: " + "very " * 20_000 + "5",
        "\\text{" * 5_000 + "5",
        "[1] " * 20_000,
    ],
)
def test_long_texts_are_read_in_one_pass(text):
    """No text makes a pattern try every way through it."""
    started = time.process_time()

    read_number(text)

    assert time.process_time() - started < 5
