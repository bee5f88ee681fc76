"""Sums of repeated floats: those of `math.fsum`, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.stats.sums import exact_sum

FLOATS = st.floats(-1e9, 1e9) | st.sampled_from([0.1, 1 / 3, 1e-300, 5e-324, -0.0])
REPEATED = st.dictionaries(FLOATS, st.integers(1, 400), min_size=1, max_size=6)


@given(REPEATED)
def test_sum_is_that_of_every_value_added(repeated: dict[float, int]) -> None:
    """Whether few or many of them differ."""
    values = [value for value, count in repeated.items() for _ in range(count)]

    found = exact_sum(np.array(list(repeated)), np.array(list(repeated.values())))

    assert math.fsum(values).hex() == found.hex()


def test_infinite_values_are_added_as_python_adds_them() -> None:
    """A fraction has no infinity."""
    assert math.inf == exact_sum(np.array([math.inf, 1.0]), np.array([900, 1]))
    with pytest.raises(ValueError, match="inf"):
        exact_sum(np.array([math.inf, -math.inf]), np.array([900, 900]))
