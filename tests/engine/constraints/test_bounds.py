"""Numbers are kept only where llguidance compares them exactly."""

from __future__ import annotations

import pytest

from themis_lib.engine.constraints.bounds import has_exact_digits, step_inside


@pytest.mark.parametrize("number", [0.0, 0.5, -1.25, 1e-15, 123456789012345.0])
def test_a_number_of_at_most_fifteen_digits_is_exact(number):
    """Digits count before the point and after it."""
    assert has_exact_digits(number)


@pytest.mark.parametrize("number", [0.9999999999999999, 1e-16, 0.1 + 0.2])
def test_a_number_of_more_digits_is_not(number):
    """A digit beyond the fifteenth makes a number inexact."""
    assert not has_exact_digits(number)


@pytest.mark.parametrize("bound", [0, 5, -1.5, 0.1, 1e14, 123456.75])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_next_number_is_inside_and_exact(bound, sign):
    """It is on the right side of the bound, near to it, and has few digits."""
    inside = step_inside(bound, sign)

    assert (inside - bound) * sign > 0
    assert abs(inside - bound) <= max(2e-12, abs(bound) * 1e-13)
    assert has_exact_digits(inside)
