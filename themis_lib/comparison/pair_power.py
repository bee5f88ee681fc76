"""What paired differences can show, and what would make them show more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from themis_lib.comparison.models import NoiseParts
from themis_lib.stats.paired import (
    BONETT_PRICE,
    PairedDifference,
)
from themis_lib.stats.power import (
    FEWEST_UNITS,
    detectable_difference,
    samples_needed,
    units_needed,
)


@dataclass(frozen=True)
class SamplingVariance:
    """What the luck of the samples adds to the variance of a mean difference.

    `drawn` is what the samples that were drawn add, both runs together; `one_sample` is
    what a single sample of each case in each run would add.
    """

    drawn: float
    one_sample: float


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


def samples_of_each_needed(
    paired: PairedDifference,
    delta: float | None,
    sampling: SamplingVariance | None,
) -> int | None:
    """Return how many samples of each case would show a difference of `delta`.

    `None` where no number would, or the luck of the samples is not known.
    """
    if not delta or not paired.standard_error or sampling is None:
        return None
    return samples_needed(
        delta,
        units=paired.units,
        error_variance=paired.standard_error**2,
        sampling_part=sampling.drawn,
        one_sample=sampling.one_sample,
    )


def noise_parts(
    paired: PairedDifference,
    sampling: SamplingVariance | None,
) -> NoiseParts | None:
    """Return where the width of the interval comes from; `None` without a width.

    The variance of the mean difference is the squared standard error. Samples in it are
    divided by their number, and everything in it by the number of cases (Searle,
    Casella and McCulloch 1992, section 3.6); the interval narrows as its square root.
    """
    if not paired.standard_error or paired.low is None or paired.high is None:
        return None
    half_width = (paired.high - paired.low) / 2
    share = None
    with_samples = None
    if sampling is not None:
        # Both are estimates: that of the part may be above that of the whole.
        share = min(sampling.drawn / paired.standard_error**2, 1.0)
        with_samples = half_width * math.sqrt(1 - share / 2)
    return NoiseParts(
        half_width=half_width,
        sampling_share=share,
        with_twice_the_samples=with_samples,
        with_twice_the_cases=half_width / math.sqrt(2),
    )


def _is_sign_test(paired: PairedDifference) -> bool:
    return paired.interval_method == BONETT_PRICE
