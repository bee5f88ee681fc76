"""Signs: which minus belongs to a number."""

from __future__ import annotations

import pytest

from tests.support.parsing import value
from tests.support.scoring import score
from themis_lib.builtins.metrics import NumericMatch
from themis_lib.builtins.parsers import Number


@pytest.mark.parametrize("minus", "-−‐‑‒–—―﹣－")
@pytest.mark.parametrize(
    "output", ["{}7", "x = {}7", "The answer is {}7.", "The answer is {} 7", "是{}7"]
)
def test_every_dash_can_be_a_minus(output, minus):
    """Directly before a number, or with a space behind a verb or an equals sign."""
    assert -7 == value(Number(), output.format(minus))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (r"\boxed{\text{−}7}", -7),
        (r"\boxed{-{7}}", -7),
        (r"\boxed{- 7}", -7),
        ("$-$7", -7),
        ("-(7)", -7),
        ("(-7)", -7),
        ("-$7", -7),
        ("$-7", -7),
        ("-USD 7", -7),
        ("−½", -0.5),
        ("−3×10⁻²", -0.03),
        ("#### - 7", -7),
        ("- 7", -7),
        ("The answer is negative 7.", -7),
        ("It fell to minus 7 °C", -7),
        ("**−7**", -7),
        ("+7", 7),
        ("The answer is +7", 7),
        ("(7,500)", 7500),
        ("- 7 pears", 7),
        ("Total - 7", 7),
        ("a 7-foot pole", 7),
        # Both are parts of something larger.
        ("16 minus 7", None),
        ("--7", None),
        ("x - 7", None),
    ],
)
def test_sign_is_told_from_hyphens_and_subtractions(output, expected):
    """A bullet, a hyphen and a dash are no signs."""
    assert expected == value(Number(), output)


@pytest.mark.parametrize("wrong", ["The answer is negative 7", "–7", r"\text{-}7"])
def test_wrong_sign_does_not_match(wrong):
    """A number is not the same as its negative, however that is written."""
    assert 0.0 == score(NumericMatch(), wrong, "7")
    assert 1.0 == score(NumericMatch(), wrong, "-7")
