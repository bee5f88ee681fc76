"""What paired differences can show: the least difference, and the cases for another."""

from __future__ import annotations

import math

from themis_lib.stats.paired import (
    BONETT_PRICE,
    PairedDifference,
)
from themis_lib.stats.power import (
    FEWEST_UNITS,
    detectable_difference,
    units_needed,
)


def smallest_detectable(paired: PairedDifference) -> float | None:
    """Return the smallest difference that such pairs show in 80 of 100 repetitions.

    `None` where the pairs do not vary, or are too few to show any difference.
    """
    if paired.standard_error is None:
        return None
    found = detectable_difference(paired.standard_error, paired.units)
    if found is None:
        return None
    if _is_sign_test(paired):
        # With fewer pairs that differ the exact test is never significant.
        return max(found, FEWEST_UNITS / paired.n)
    # 0 where all differences are equal, which says nothing about others.
    return found or None


def cases_needed(
    paired: PairedDifference,
    delta: float | None,
) -> int | None:
    """Return how many cases like these would show a difference of `delta`.

    `None` where the pairs do not vary, or no difference is asked about.
    """
    if not paired.standard_error or not delta:
        return None
    # From the error of the mean back to the deviation of one unit.
    deviation = paired.standard_error * math.sqrt(paired.units)
    units = units_needed(delta, deviation)
    # A unit is a case or a cluster of cases.
    cases = math.ceil((units or 0) * paired.n / paired.units)
    if _is_sign_test(paired):
        return max(cases, math.ceil(FEWEST_UNITS / delta))
    return cases


def _is_sign_test(paired: PairedDifference) -> bool:
    return paired.interval_method == BONETT_PRICE
