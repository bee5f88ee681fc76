"""Where the marks of a chart stand: axes and the bins of distributions, as plain
numbers that the templates draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

ScoreArray = npt.NDArray[np.float64]

#: A distribution of up to so many different scores shows each; above, they are counted
#: in bins.
_MOST_LEVELS = 11
_BINS = 20
_TICKS = 5


@dataclass(frozen=True)
class Axis:
    """A range of values, with round numbers to mark on it."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Where a value stands, in percent of the length; values beyond the ends stand
        at the ends.

        >>> Axis(0.0, 2.0, ()).at(0.5)
        25.0
        """
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 3)


@dataclass(frozen=True)
class Bins:
    """What scores are counted by: each score where there are few different ones, else
    ranges of equal width.

    A range holds its lower end and not its upper one; the last range holds both.
    """

    ranges: tuple[tuple[float, float], ...]
    are_levels: bool

    @property
    def labels(self) -> list[str]:
        """Each score, or range of scores, as text."""
        return [
            number(low) if self.are_levels else f"{number(low)} – {number(high)}"
            for low, high in self.ranges
        ]

    def count(self, scores: ScoreArray) -> list[int]:
        """How many scores lie in each; NaN, a case without a score, in none."""
        if self.are_levels:
            return [int((scores == level).sum()) for level, _ in self.ranges]
        edges = [low for low, _ in self.ranges] + [self.ranges[-1][1]]
        return [
            int(count) for count in np.histogram(scores[~np.isnan(scores)], edges)[0]
        ]


def axis_over(
    values: Iterable[float],
    *,
    around: float | None = None,
) -> Axis:
    """The axis for these values: from 0 to 1 where they lie there, else between round
    numbers.

    `around` stands in the middle, as zero does for differences.

    >>> axis_over([0.2, 0.7]).ticks
    (0.0, 0.25, 0.5, 0.75, 1.0)
    >>> axis_over([-0.03, 0.08], around=0.0).ticks
    (-0.1, -0.05, 0.0, 0.05, 0.1)
    """
    known = list(values)
    if around is not None:
        reach = max([abs(value - around) for value in known], default=0.0) or 1.0
        step = _round_step(reach / 3)
        steps = math.ceil(reach / step - 1e-9)
        return _make_axis(around - steps * step, around + steps * step, step)
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low >= 0 and high <= 1:
        return _make_axis(0.0, 1.0, 0.25)
    step = _round_step(((high - low) or abs(high) or 1.0) / (_TICKS - 1))
    first, last = math.floor(low / step), math.ceil(high / step)
    return _make_axis(first * step, max(last, first + 1) * step, step)


def bins_of(scores: ScoreArray) -> Bins:
    """What to count these scores by; NaN is a case without one.

    >>> bins_of(np.array([1.0, 1.0])).labels
    ['0', '1']
    >>> bins_of(np.arange(100.0)).labels[:2]
    ['0 – 5', '5 – 10']
    """
    levels = np.unique(scores[~np.isnan(scores)])
    if len(levels) and np.isin(levels, (0.0, 1.0)).all():
        levels = np.array([0.0, 1.0])
    if len(levels) <= _MOST_LEVELS:
        return Bins(tuple((level, level) for level in levels.tolist()), are_levels=True)
    low, high = (
        (0.0, 1.0)
        if levels[0] >= 0 and levels[-1] <= 1
        else (float(levels[0]), float(levels[-1]))
    )
    step = _round_step((high - low) / _BINS)
    first, last = math.floor(low / step), math.ceil(high / step)
    edges = [round(step * index, 12) for index in range(first, last + 1)]
    return Bins(tuple(pairwise(edges)), are_levels=False)


def number(value: float) -> str:
    """A number with the digits that it has, up to four behind the point; three digits
    of one too small for that.

    >>> number(0.25), number(1.0), number(-0.0), number(12345.0), number(0.00001)
    ('0.25', '1', '0', '12,345', '1e-05')
    """
    if 0 < abs(value) < 0.0001:
        return f"{value:.3g}"
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _make_axis(
    low: float,
    high: float,
    step: float,
) -> Axis:
    count = round((high - low) / step)
    ticks: Sequence[float] = [
        round(low + step * index, 12) + 0.0 for index in range(count + 1)
    ]
    return Axis(round(low, 12), round(high, 12), tuple(ticks))


def _round_step(rough: float) -> float:
    """The least of 1, 2, 2.5, 5 and 10, times a power of ten, that is not below."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(
        factor * power
        for factor in (1, 2, 2.5, 5, 10)
        if factor * power >= rough * (1 - 1e-9)
    )
