"""How many cases a test is expected to take: against the test itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from themis_lib.runs.random_order import look_ends
from themis_lib.stats.betting import BoundedScores
from themis_lib.stats.expected_stops import expected_stop

VALUES = (-1.0, 0.0, 1.0)


def test_it_is_as_many_cases_as_the_test_takes_on_scores_drawn_one_by_one() -> None:
    """Scores drawn case by case, and the evidence computed from them, take as many on
    average, but for the noise of 300 repetitions.
    """
    chances = (0.1, 0.5, 0.4)
    looks = look_ends(200)
    random = np.random.default_rng(7)
    stops = []
    for _ in range(300):
        drawn = random.choice(VALUES, 200, p=chances)
        for look in looks:
            if BoundedScores.of(drawn[:look], -1, 1).log_e_value(0) >= math.log(20):
                break
        stops.append(look)

    found = expected_stop(VALUES, chances, 0.0, looks=looks, repetitions=2_000)

    error = np.std(stops) / math.sqrt(len(stops))
    assert np.mean(stops) == pytest.approx(found.mean, abs=4 * error)
    assert np.median(stops) == pytest.approx(found.median, abs=6)


def test_the_same_seed_gives_the_same_number() -> None:
    """A plan does not change from one moment to the next."""
    first, again = (
        expected_stop(VALUES, (0.2, 0.5, 0.3), 0.0, looks=[8, 16, 24], seed=5)
        for _ in range(2)
    )

    assert first == again


def test_without_a_difference_it_takes_all_cases() -> None:
    """Nothing is there to decide, and few repetitions decide wrongly."""
    found = expected_stop(VALUES, (0.25, 0.5, 0.25), 0.0, looks=look_ends(300))

    assert (300, True) == (found.median, found.decided < 0.05)
