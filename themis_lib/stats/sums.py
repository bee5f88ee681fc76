"""Sums of floats that do not depend on their order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import Floats

#: Adding a different value as a fraction takes as long as adding so many floats.
_REPEATED = 64


def exact_sum(
    values: Floats,
    counts: npt.NDArray[np.int64],
) -> float:
    """Return the exact sum of values, each as often as its count says, rounded once.

    To the last bit that is `math.fsum` of all of them, in less time if many are equal.

    >>> exact_sum(np.array([0.1, 0.7]), np.array([10, 1]))
    1.7
    """
    if counts.sum() < _REPEATED * len(values) or not np.isfinite(values).all():
        return math.fsum(np.repeat(values, counts).tolist())
    return float(fraction_sum(values, counts))


def fraction_sum(
    values: Floats,
    counts: npt.NDArray[np.int64],
) -> Fraction:
    """Return the sum of finite values, each as often as its count says, not rounded."""
    pairs: Iterable[tuple[float, int]] = zip(
        values.tolist(), counts.tolist(), strict=True
    )
    return sum((Fraction(value) * count for value, count in pairs), Fraction(0))
