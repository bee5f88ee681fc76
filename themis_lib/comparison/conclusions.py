"""The conclusions of a comparison: better, worse, the same, or unknown."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.comparison.models import (
    Conclusion,
    Difference,
)
from themis_lib.stats.multiple import holm

# The family-wise error rate: Holm's p below it gives a conclusion.
_LEVEL = 0.05


def with_conclusions(
    differences: Sequence[Difference],
    delta: float | None,
) -> list[Difference]:
    """Return the differences with Holm's p over all of them and their conclusions."""
    # Holm's p of one difference depends on all: conclusions come last.
    adjusted = holm([difference.p_value for difference in differences])
    judged = []
    for difference, p_adjusted in zip(differences, adjusted, strict=True):
        changes = {
            "p_adjusted": p_adjusted,
            "conclusion": conclusion_of(difference, p_adjusted, delta),
        }
        judged.append(difference.model_copy(update=changes))
    return judged


def conclusion_of(
    item: Difference,
    p_adjusted: float | None,
    delta: float | None,
) -> Conclusion:
    """Return the conclusion of one difference.

    Without `delta`, the difference that matters, only equal scores are the same.
    """
    # A significant difference counts even where it lies within ± delta.
    if p_adjusted is not None and p_adjusted < _LEVEL and item.difference:
        return "better" if item.difference > 0 else "worse"
    if item.n and item.tied == item.n:
        return "same"
    if delta is None or item.low is None or item.high is None:
        return "cannot tell"
    if -delta < item.low <= item.high < delta:
        return "same"
    return "cannot tell"
