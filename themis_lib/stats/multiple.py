"""Many comparisons at once: p-values adjusted so that any false finding stays as rare
as one alone would be.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted by Holm's step-down method (Holm 1979), in the order given;
    null where there was no test.

    >>> holm([0.01, 0.04, None, 0.03, 0.005])
    [0.03, 0.06, None, 0.06, 0.02]
    """
    tested = [p for p in p_values if p is not None]
    if not tested:
        return [None] * len(p_values)
    from statsmodels.stats.multitest import multipletests

    adjusted = iter(multipletests(tested, method="holm")[1].tolist())
    return [None if p is None else next(adjusted) for p in p_values]
