"""What a missing score could be: the lowest, the highest and the worst of a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from themis_lib.stats.clusters import Floats


@dataclass(frozen=True)
class ScoreRange:
    """The lowest and the highest score possible, and the one of an answer worth nothing.

    `worst` is `None` where nobody says which score that is.
    """

    lowest: float
    highest: float
    worst: float | None

    @staticmethod
    def of(
        observed: Floats,
        *,
        declared: tuple[float, float] | None = None,
        higher_is_better: bool = True,
    ) -> ScoreRange:
        """Return the range of a metric with these finite scores.

        What it declares counts; without that, scores that all lie in 0 to 1 are taken
        to be of that range. No bound is narrower than what was observed.
        """
        low, high = declared or (0.0, 1.0)
        lowest, highest = low, high
        if len(observed):
            lowest = min(low, float(observed.min()))
            highest = max(high, float(observed.max()))
        is_as_assumed = (lowest, highest) == (low, high)
        worst = None
        # Where lower is better there may be no end to worse: 1 is not assumed.
        if declared is not None or (higher_is_better and is_as_assumed):
            worst = low if higher_is_better else high
        return ScoreRange(lowest, highest, worst)


def extreme(
    choose: Callable[[list[float]], float],
    values: Sequence[float | None],
) -> float | None:
    """Return the least or greatest of some values; `None` where one is not known."""
    known = [value for value in values if value is not None]
    return choose(known) if len(known) == len(values) else None
