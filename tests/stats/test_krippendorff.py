"""Krippendorff's alpha against its author's published values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from themis_lib.stats.krippendorff import krippendorffs_alpha

# Krippendorff 2011, section C to E: four observers, twelve units, 0 for a gap.
_RATINGS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]


def published() -> np.ndarray:
    ratings = np.array(_RATINGS, dtype=float)
    return np.where(ratings == 0, np.nan, ratings)


@pytest.mark.parametrize(
    ("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_published_values(level: Any, expected: float) -> None:
    """Of twelve units, one has a single rating, which pairs with nothing."""
    found = krippendorffs_alpha(published(), level=level)

    assert (11, 40) == (found.units, found.ratings)
    assert expected == pytest.approx(found.alpha, abs=5e-4)
    assert found.low < found.alpha < found.high <= 1


def test_binary_data_of_two_observers() -> None:
    """Krippendorff 2011, section A: 0.095."""
    ratings = np.array(
        [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], dtype=float
    )

    assert 0.095 == pytest.approx(krippendorffs_alpha(ratings).alpha, abs=5e-4)


def test_interval_is_seeded_and_does_not_depend_on_the_order() -> None:
    found = krippendorffs_alpha(published(), seed=3)

    assert found == krippendorffs_alpha(published(), seed=3)
    assert found != krippendorffs_alpha(published(), seed=4)
    assert found == krippendorffs_alpha(published()[::-1], seed=3)


def test_levels_are_the_same_for_two_values() -> None:
    ratings = np.array([[0.0, 1, 1, 0, 1], [0.0, 1, 0, 0, 1]])

    found = [
        krippendorffs_alpha(ratings, level=level)
        for level in ("nominal", "ordinal", "interval")
    ]

    assert found[0] == found[2]
    assert found[0].alpha == pytest.approx(found[1].alpha)


@pytest.mark.parametrize(
    "ratings",
    [[[1.0, 1.0], [1.0, 1.0]], [[1.0, np.nan], [np.nan, 2.0]], [[], []]],
    ids=["all equal", "none paired", "none"],
)
def test_nothing_to_tell(ratings: list[list[float]]) -> None:
    found = krippendorffs_alpha(np.array(ratings))

    assert (None, None, None) == (found.alpha, found.low, found.high)


def test_full_agreement_has_no_interval() -> None:
    found = krippendorffs_alpha(np.array([[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]))

    assert (1.0, None, None) == (found.alpha, found.low, found.high)
