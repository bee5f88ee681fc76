"""Asides: numbers that are no answer."""

from __future__ import annotations

import pytest

from tests.support.parsing import value
from themis_lib.builtins.parsers import Number


@pytest.mark.parametrize(
    "aside",
    [
        "[2]",
        "[2][3]",
        "[2, 3]",
        "[^2]",
        "(Miller, 2019)",
        "(see Table 2)",
        "by Theorem 2",
        "on the 2nd",
        "before her 2nd birthday",
        "with 90% confidence",
        "(90% certain)",
        "(Confidence: 0.9)",
        "out of 50",
        "out of every 50",
        "(of the 50)",
        "(of 50)",
        "(3 steps)",
        "and it took 2 steps in GPT-4",
        "(https://example.com/2/3)",
        "\nSteps: 3",
        "\n\n**Confidence:** 80%",
        "\nConfidence: high (80%)",
        "\n\nReferences\n[1] Miller 2019",
    ],
)
def test_aside_behind_the_number_is_passed_over(aside):
    """A citation, a label, an ordinal, a confidence, or what a share is taken of."""
    assert 42 == value(Number(), f"She counted 42 pears {aside}")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("20% of 50", 20),
        ("18 of the 50", 18),
        ("in 3 bags of 50", 50),
        ("20% of 50 is 10", 10),
        ("330 m (1)", 330),
        ("7 - 1 = 6th place", 6),
        ("1/3rd", 1 / 3),
        ("第7", None),
        ("3rd of 8", None),
        ("[42]", 42),
        ("(42)", 42),
        ("the result is [42]", 42),
        ("No. 42", 42),
        ("Step 3 gives 42", 42),
        ("I am 90% sure", None),
        ("6000 steps + 2000 steps = 8000 steps", 8000),
    ],
)
def test_answer_in_the_form_of_an_aside_is_read(output, expected):
    """What is not beside a number is one itself."""
    assert expected == value(Number(), output)
