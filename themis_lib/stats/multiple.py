"""P-values of many comparisons, adjusted for the family-wise error rate: any false
finding among them is as rare as it would be in one comparison.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted by Holm's step-down method (Holm 1979), in order.

    A comparison without a test has `None`, and does not count among them.

    >>> holm([0.01, 0.04, None, 0.03, 0.005])
    [0.03, 0.06, None, 0.06, 0.02]
    """
    tested = [p for p in p_values if p is not None]
    if not tested:
        return [None] * len(p_values)
    # Imported where it is needed: its import is slow.
    from statsmodels.stats.multitest import multipletests

    adjusted = iter(multipletests(tested, method="holm")[1].tolist())
    # The results are those of the tests alone; the gaps go back in between.
    in_order: list[float | None] = []
    for p in p_values:
        in_order.append(None if p is None else next(adjusted))
    return in_order
