"""The power of a paired comparison: the smallest difference that data can show, and
how much data a difference needs.

The test is two-sided at 5 % on the mean of paired differences, and has a power of 80 %.
All is computed for the t-test. The exact tests that are used have the same power except
for very small data, which `FEWEST_UNITS` rules out.
"""

from __future__ import annotations

import math

POWER = 0.8
_LEVEL = 0.05
#: Fewer pairs (or clusters) that differ cannot bring an exact sign test below 5 %: 2 /
#: 2⁵ > 0.05 > 2 / 2⁶.
FEWEST_UNITS = 6
#: From here on Student's t is computed as the normal distribution.
_MANY = 100_000


def detectable_difference(
    standard_error: float,
    units: int,
) -> float | None:
    """Return the smallest true difference that a test finds with a power of 80 %.

    `units` are independent: pairs, or clusters of them; `None` for fewer than
    `FEWEST_UNITS`. It is the non-centrality λ at which a t-test with units − 1 degrees
    of freedom has this power, times the standard error (Cohen 1988, chapter 2; the
    other tail, below 10⁻⁵, is left out).

    >>> round(detectable_difference(0.01, 1000), 5)
    0.02804
    """
    if units < FEWEST_UNITS:
        return None
    return _noncentrality_for(units) * standard_error


def units_needed(
    difference: float,
    deviation: float,
) -> int | None:
    """Return the number of independent units needed to find a true difference.

    `deviation` is the standard deviation of the units' differences, the power 80 %.
    `None` for a difference of 0.

    >>> units_needed(0.5, 1.0), units_needed(0.02, 0.42)
    (34, 3464)
    """
    if not difference:
        return None
    effect = abs(difference) / deviation if deviation else math.inf
    # The normal distribution gives a number that is slightly too small.
    smallest = math.ceil((_noncentrality_for(_MANY) / effect) ** 2)
    units = max(FEWEST_UNITS, smallest)
    while _noncentrality_for(units) > effect * math.sqrt(units):
        units += 1
    return units


def samples_needed(
    difference: float,
    *,
    units: int,
    error_variance: float,
    sampling_part: float,
    one_sample: float,
) -> int | None:
    """Return the samples of each case, in both runs, needed to find a true difference.

    `None` if no number is enough. `error_variance` is the squared standard error of the
    mean difference, `sampling_part` what the samples drawn so far add to it, and
    `one_sample` what a single one in each run would add. The rest is between cases,
    and more samples do not lower it.

    >>> known = {"units": 100, "sampling_part": 0.001, "one_sample": 0.002}
    >>> samples_needed(0.1, error_variance=0.002, **known)
    9
    >>> samples_needed(0.1, error_variance=0.004, **known) is None
    True
    """
    if units < FEWEST_UNITS:
        return None
    between_cases = max(error_variance - sampling_part, 0.0)
    most_variance = (difference / _noncentrality_for(units)) ** 2
    left_to_samples = most_variance - between_cases
    if left_to_samples <= 0:
        return None
    return max(1, math.ceil(one_sample / left_to_samples))


def _noncentrality_for(units: int) -> float:
    """Return the true difference, in standard errors, that is found with this power."""
    from scipy.special import nctdtrinc, ndtri, stdtrit

    if units >= _MANY:
        return float(ndtri(1 - _LEVEL / 2) + ndtri(POWER))
    freedom = units - 1
    return float(nctdtrinc(freedom, 1 - POWER, stdtrit(freedom, 1 - _LEVEL / 2)))
