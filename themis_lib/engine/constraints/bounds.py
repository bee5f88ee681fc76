"""Bounds and other numbers of a JSON Schema: which ones llguidance compares exactly."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

#: The largest integer below which a double holds every integer; llguidance computes
#: with doubles.
LARGEST_EXACT = 2**53
#: The significant digits, and those after the point, for which the ranges of
#: llguidance are right.
MOST_DIGITS = 15
# Finer steps would need more digits than a bound may have.
_MOST_PLACES = 12


def has_exact_digits(number: float) -> bool:
    """Return whether a number has few enough digits for llguidance's ranges.

    >>> has_exact_digits(0.5), has_exact_digits(0.9999999999999999)
    (True, False)
    """
    # The shortest decimal that reads as this double, which is what JSON writes.
    _, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    return len(digits) <= MOST_DIGITS and int(exponent) >= -MOST_DIGITS


def step_inside(
    bound: float,
    sign: int,
) -> float:
    """Return the number next to an exclusive bound that is surely exact.

    It is above the bound for a `sign` of 1, and below it for -1.

    >>> step_inside(5, -1), step_inside(0, 1)
    (4.999999999999, 1e-12)
    """
    exact = Decimal(repr(bound))
    # The digits before the point take from those that remain for the fraction.
    whole_digits = max(0, exact.adjusted() + 1)
    places = max(0, min(_MOST_PLACES, MOST_DIGITS - 1 - whole_digits))
    step = Decimal(1).scaleb(-places)
    # Rounded towards the bound's outer side: the step then leads inside, not further.
    rounding = ROUND_FLOOR if sign > 0 else ROUND_CEILING
    return float(exact.quantize(step, rounding=rounding) + sign * step)
