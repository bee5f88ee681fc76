"""P-values of many comparisons, adjusted for the family-wise error rate: any false
finding among them is as rare as it would be in one comparison.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted by Holm's step-down method (Holm 1979), in order.

    A comparison without a test has `None`, and does not count among them.

    >>> holm([0.01, 0.04, None, 0.03, 0.005])
    [0.03, 0.06, None, 0.06, 0.02]
    """
    tested = np.array([p for p in p_values if p is not None], dtype=np.float64)
    order = np.argsort(tested)
    # The smallest p-value counts for all of them, the next for one fewer, and so on;
    # none is smaller than one before it.
    scaled = tested[order] * np.arange(len(tested), 0, -1)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    # The results are those of the tests alone; the gaps go back in between.
    results = iter(adjusted.tolist())
    in_order: list[float | None] = []
    for p in p_values:
        in_order.append(None if p is None else next(results))
    return in_order
