"""Wholes: numbers that are a part of something larger, and ones that are not."""

from __future__ import annotations

import pytest

from tests.support.parsing import value
from themis_lib.builtins.parsers import Number

PARTS = [
    # Roots, constants, powers and polynomials.
    "√7",
    "4√7",
    "7π",
    "7 π",
    "π/7",
    "7x",
    "7x + 2",
    "7xy",
    "x^2 + 7",
    "x - 7",
    "7 - x",
    "7(x + 1)",
    "2(7)",
    "f(7)",
    "3 + 7i",
    "7i",
    "2^x",
    "log 7",
    "7/x",
    "101_2",
    # Unfinished calculations and equations.
    "7 + 2",
    "7 * 2",
    "7 x 2",
    "7 × 2",
    "7 plus 2",
    "14 divided by 7",
    "y = 7x + 2",
    "7x = 14",
    "x + 7 = 14",
    "x = 7 or x = 2",
    "x = 7, y = 2",
    "7 ± 2",
    "±7",
    "7 +/- 0.2",
    # Points, intervals, lists, ranges and inequalities.
    "(7, 2)",
    "(x, 7)",
    "[7, 9)",
    "⟨7, 9⟩",
    "{7, 8, 9}",
    "7, 8 and 9",
    "7 and 8",
    "7; 8",
    "7-9",
    "7–9 days",
    "7 to 9",
    "7 or 8",
    "7%-9%",
    "$7-$9",
    "7~9",
    "7到9",
    "7...9",
    "between 7 and 9",
    "7 hours to 9 hours",
    "x > 7",
    "7 < x",
    "1 < x < 7",
    "x <= 7",
    "x != 7",
    "≥ 7",
    # Times, dates, ratios and compound quantities.
    "7:30",
    "7:30 pm",
    "7:2",
    "7 in 10",
    "7 in every 10",
    "7 am to 9 am",
    "7 à 9",
    "2021-07-09",
    "07/09/2021",
    "9.7.2021",
    "July 9, 2021",
    "9 July 2021",
    "2021年7月9日",
    "7 hours and 30 minutes",
    "7 feet 9 inches",
    "7'9\"",
    "7 and a half",
    # Repeating decimals.
    "0.777...",
    "0.777…",
    "0,777...",
    "$7 million-$9 million",
    "$7 and 20 cents",
    "0.(7)",
    "0.1(7)",
    "0.7̅",
    r"0.\overline{7}",
    r"0.1\bar{7}",
]


@pytest.mark.parametrize("before", ["", "So we get ", "The answer is "])
@pytest.mark.parametrize("part", PARTS)
def test_part_of_something_larger_is_no_number(part, before):
    """Alone, in running text, and behind a marker."""
    assert value(Number(), before + part) is None
    assert value(Number(), f"{before}{part}.") is None


@pytest.mark.parametrize("part", PARTS)
def test_box_with_something_larger_holds_no_number(part):
    """Nor does what comes before the box."""
    assert value(Number(), rf"All 5: \boxed{{{part}}}") is None


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("7 + 2 = 9", 9),
        ("7 x 2 = 14", 14),
        ("A = a * b = 14", 14),
        ("a + b = 9", 9),
        ("√49 = 7", 7),
        ("f(2) = 7", 7),
        ("x_1 = 7", 7),
        ("m = 7", 7),
        ("7 = x", 7),
        ("60 miles/hour * 2 hours = 120 miles", 120),
        ("25 * 40g = 1000g", 1000),
        ("7 m/s²", 7),
        ("$7/hour", 7),
        ("45°", 45),
        ("The answer is 7, 8 would be too many", 7),
        ("The answer is 7: the sum", 7),
        ("The answer is 7 - that is all", 7),
        ("The answer is 7...", 7),
        ("The answer is 7!", 7),
        ("The answer is 7 or more", 7),
        ("The answer is 18 and 3 are left over", 18),
        ("In 2020, 7 came", 7),
        ("There are 3 boys and 7 girls", 7),
        ("**7**", 7),
        ("_7_", 7),
        ("| 7 |", 7),
        ("She needs it for 7 years", 7),
    ],
)
def test_whole_number_beside_words_and_marks_is_read(output, expected):
    """A result, a unit, punctuation and markup make nothing larger."""
    assert expected == value(Number(), output)
