"""What data can show: the smallest difference they would reveal, and how much more of
them a difference takes.

For a two-sided test at 5 % that finds a true difference in 80 of 100 repetitions, on
the mean of paired differences. The t-test stands for the exact tests that are used: its
power is theirs but for very small data, and those have a floor of their own
(`FEWEST_UNITS`).
"""

from __future__ import annotations

import math

POWER = 0.8
_LEVEL = 0.05
#: Fewer pairs (or clusters) that differ cannot bring an exact sign test below 5 %: 2 /
#: 2⁵ > 0.05 > 2 / 2⁶.
FEWEST_UNITS = 6
#: From here on Student's t is the normal distribution, as far as anyone can tell.
_MANY = 100_000


def detectable_difference(
    standard_error: float,
    units: int,
) -> float | None:
    """The smallest true difference that a test finds with the power of 80 %, given its
    standard error over so many independent units (pairs, or clusters of them); null for
    fewer than `FEWEST_UNITS`.

    The non-centrality λ at which a t-test with units − 1 degrees of freedom has this
    power, times the standard error (Cohen 1988, chapter 2; the other tail, below 10⁻⁵,
    is left out).

    >>> round(detectable_difference(0.01, 1000), 5)
    0.02804
    """
    return None if units < FEWEST_UNITS else _noncentrality_for(units) * standard_error


def units_needed(
    difference: float,
    deviation: float,
) -> int | None:
    """How many independent units (pairs) it takes to find a true difference with the
    power of 80 %, where their differences deviate so from their mean; null for a
    difference of 0.

    >>> units_needed(0.5, 1.0), units_needed(0.02, 0.42)
    (34, 3464)
    """
    if not difference:
        return None
    effect = abs(difference) / deviation if deviation else math.inf
    units = max(FEWEST_UNITS, math.ceil((_noncentrality_for(_MANY) / effect) ** 2))
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
    """How many samples of each case, in both runs, it takes to find a true difference
    on these units; null where no number is enough.

    `error_variance` is the squared standard error of the mean difference,
    `sampling_part` what the samples drawn so far add to it, and `one_sample` what a
    single one in each run would: the rest is between cases, and stays.

    >>> known = {"units": 100, "sampling_part": 0.001, "one_sample": 0.002}
    >>> samples_needed(0.1, error_variance=0.002, **known)
    9
    >>> samples_needed(0.1, error_variance=0.004, **known) is None
    True
    """
    if units < FEWEST_UNITS:
        return None
    bearable = (difference / _noncentrality_for(units)) ** 2 - max(
        error_variance - sampling_part, 0.0
    )
    return max(1, math.ceil(one_sample / bearable)) if bearable > 0 else None


def _noncentrality_for(units: int) -> float:
    from scipy.special import nctdtrinc, ndtri, stdtrit

    if units >= _MANY:
        return float(ndtri(1 - _LEVEL / 2) + ndtri(POWER))
    freedom = units - 1
    return float(nctdtrinc(freedom, 1 - POWER, stdtrit(freedom, 1 - _LEVEL / 2)))
