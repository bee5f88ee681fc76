"""Power against statsmodels and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower, TTestPower

from themis_lib.stats.paired import paired_difference
from themis_lib.stats.power import (
    FEWEST_UNITS,
    detectable_difference,
    samples_needed,
    units_needed,
)


@settings(max_examples=50)
@given(st.integers(FEWEST_UNITS, 5_000), st.floats(0.01, 10))
def test_detectable_difference_has_the_power_by_statsmodels(
    units: int, deviation: float
) -> None:
    """The one-sample t-test finds it with a power of 80 %."""
    detectable = detectable_difference(deviation / math.sqrt(units), units)

    assert TTestPower().power(detectable / deviation, units, 0.05) == pytest.approx(
        0.8, abs=1e-4
    )


@settings(max_examples=50)
@given(st.floats(0.03, 1.0), st.floats(0.1, 2.0))
def test_units_needed_are_the_fewest_with_the_power(
    difference: float, deviation: float
) -> None:
    """So many units have a power of 80 %, one fewer has not, by statsmodels' t-test."""
    units = units_needed(difference, deviation)
    assert units is not None
    assume(units > FEWEST_UNITS)
    power = [
        TTestPower().power(difference / deviation, count, 0.05)
        for count in (units - 1, units)
    ]

    assert power[0] < 0.8001
    assert power[1] > 0.7999


def test_many_units_are_those_of_the_normal_distribution() -> None:
    """For very small differences the count is the normal one, which statsmodels gives
    for two groups as twice that.
    """
    two_groups = NormalIndPower().solve_power(effect_size=0.001, alpha=0.05, power=0.8)

    assert two_groups / 2 == pytest.approx(units_needed(0.001, 1.0), rel=1e-4)


def test_little_data_show_nothing() -> None:
    """Five units cannot bring an exact test below 5 %, whatever they are; and no
    difference takes no number.
    """
    assert detectable_difference(0.001, FEWEST_UNITS - 1) is None
    assert (
        samples_needed(
            0.1, units=5, error_variance=0.1, sampling_part=0.0, one_sample=0.1
        )
        is None
    )
    assert units_needed(0.0, 1.0) is None
    assert FEWEST_UNITS == units_needed(1.0, 0.0)


def test_samples_needed_have_the_power() -> None:
    """With so many samples the difference in question is what is detectable, with one
    fewer it is not.
    """
    variances = {"error_variance": 0.0016, "sampling_part": 0.0012}
    needed = samples_needed(0.08, units=200, one_sample=0.0024, **variances)
    assert needed is not None

    detectable = [
        detectable_difference(math.sqrt(0.0004 + 0.0024 / count), 200)
        for count in (needed - 1, needed)
    ]

    assert detectable[0] > 0.08 >= detectable[1]


@pytest.mark.slow
def test_what_is_called_detectable_is_found_in_four_of_five_simulations() -> None:
    """Exact tests find the detectable difference about as often as promised, on 0/1
    scores and on others.
    """
    random = np.random.default_rng(0)
    found = {"0/1": 0, "other": 0}
    repetitions, n, changed = 1_000, 300, 0.3
    difference = detectable_difference(math.sqrt(changed / n), n)
    up = (changed + difference) / 2
    for _ in range(repetitions):
        signs = random.choice(
            [1.0, -1.0, 0.0], size=n, p=[up, changed - up, 1 - changed]
        )
        before = np.where(signs > 0, 0.0, 1.0)
        found["0/1"] += paired_difference(before, before + signs).p_value < 0.05
        noise = random.normal(detectable_difference(1 / math.sqrt(n), n), 1.0, size=n)
        found["other"] += (
            paired_difference(np.zeros(n), noise, resamples=999).p_value < 0.05
        )

    assert 0.76 <= found["0/1"] / repetitions <= 0.84
    assert 0.76 <= found["other"] / repetitions <= 0.84
