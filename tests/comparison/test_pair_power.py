"""What paired differences can show."""

from __future__ import annotations

import numpy as np

from themis_lib.comparison.pair_power import cases_needed, smallest_detectable
from themis_lib.stats.paired import paired_difference


def test_pairs_that_all_rise_could_show_what_six_of_them_show() -> None:
    """Without any variance the floor of the exact test is all that is known."""
    paired = paired_difference(np.zeros(10), np.ones(10))

    assert 0.6 == smallest_detectable(paired)
    assert cases_needed(paired, 0.1) is None


def test_other_scores_that_do_not_vary_show_nothing() -> None:
    """A t-test has no such floor, and a standard error of 0 is no evidence."""
    paired = paired_difference(np.full(10, 0.25), np.full(10, 0.5))

    assert smallest_detectable(paired) is None
