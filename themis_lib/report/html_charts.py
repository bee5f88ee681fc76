"""The axes of charts and the bins of distributions.

They are plain numbers, which the templates draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

ScoreArray = npt.NDArray[np.float64]

# Up to so many different scores are shown each; more are counted in ranges. Eleven are
# the tenths from 0 to 1.
_MOST_LEVELS = 11
# Rough numbers, since steps are round.
_BINS = 20
_TICKS = 5
# A share of a step that is rounding, and not a reason for one more.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Axis:
    """A range of values, with round numbers to mark on it."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return the place of a value, in percent of the length.

        Values beyond an end are placed at that end.

        >>> Axis(0.0, 2.0, ()).at(0.5)
        25.0
        """
        share = (value - self.low) / (self.high - self.low)
        share = min(max(share, 0.0), 1.0)
        # A thousandth of a percent is less than a pixel, and keeps the page short.
        return round(100 * share, 3)


@dataclass(frozen=True)
class Bins:
    """The bins that scores are counted in.

    Each different score is a bin where they are few (`are_levels`), else ranges of
    equal width are. A range includes its lower end and not its upper one; the last
    range includes both.
    """

    ranges: tuple[tuple[float, float], ...]
    are_levels: bool

    @property
    def labels(self) -> list[str]:
        """The score or the range of each bin, as text."""
        labels = []
        for low, high in self.ranges:
            label = number(low)
            if not self.are_levels:
                label += f" – {number(high)}"
            labels.append(label)
        return labels

    def count(self, scores: ScoreArray) -> list[int]:
        """Return how many scores are in each bin; NaN, a case without one, is in none."""
        if self.are_levels:
            sizes = []
            for level, _ in self.ranges:
                sizes.append(int((scores == level).sum()))
            return sizes
        edges = [low for low, _ in self.ranges]
        edges.append(self.ranges[-1][1])
        # Unlike a comparison, NumPy's histogram refuses NaN.
        counts, _ = np.histogram(scores[~np.isnan(scores)], edges)
        return list(map(int, counts))

    def to_json(self) -> dict[str, Any]:
        """Return the bins for the scripts of a page: two ends and a label each."""
        bars: list[list[float | str]] = []
        for (low, high), label in zip(self.ranges, self.labels, strict=True):
            bars.append([low, high, label])
        return {
            "levels": self.are_levels,
            "bars": bars,
        }


def axis_over(
    values: Iterable[float],
    *,
    around: float | None = None,
) -> Axis:
    """Return the axis for some values.

    It goes from 0 to 1 where they all lie there, else between round numbers. `around`
    is put in the middle, as zero is for differences.

    >>> axis_over([0.2, 0.7]).ticks
    (0.0, 0.25, 0.5, 0.75, 1.0)
    >>> axis_over([-0.03, 0.08], around=0.0).ticks
    (-0.1, -0.05, 0.0, 0.05, 0.1)
    """
    known = list(values)
    if around is not None:
        reach = 0.0
        for value in known:
            reach = max(reach, abs(value - around))
        # Without a value that is off the middle any length will do.
        reach = reach or 1.0
        step = _round_step(reach / 3)
        length = math.ceil(reach / step - _ROUNDING) * step
        return _axis_between(
            around - length,
            around + length,
            step,
        )
    low = min(known, default=0.0)
    high = max(known, default=1.0)
    # Most scores are shares: one axis for all makes metrics comparable.
    if low >= 0 and high <= 1:
        return _axis_between(0.0, 1.0, 0.25)
    length = (high - low) or abs(high) or 1.0
    step = _round_step(length / (_TICKS - 1))
    first = math.floor(low / step)
    last = math.ceil(high / step)
    # Equal values may both be on a tick; an axis has at least one step.
    last = max(last, first + 1)
    return _axis_between(first * step, last * step, step)


def bins_of(scores: ScoreArray) -> Bins:
    """Return the bins to count some scores in; NaN is a case without a score.

    >>> bins_of(np.array([1.0, 1.0])).labels
    ['0', '1']
    >>> bins_of(np.arange(100.0)).labels[:2]
    ['0 – 5', '5 – 10']
    """
    levels = np.unique(scores[~np.isnan(scores)])
    # Right and wrong are both shown, also where every case is right.
    if len(levels) and np.isin(levels, (0.0, 1.0)).all():
        levels = np.array([0.0, 1.0])
    if len(levels) <= _MOST_LEVELS:
        ends = levels.tolist()
        ranges = tuple(zip(ends, ends, strict=True))
        return Bins(ranges, are_levels=True)
    low = float(levels[0])
    high = float(levels[-1])
    # Shares are shown over all of their range.
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    step = _round_step((high - low) / _BINS)
    first = math.floor(low / step)
    last = math.ceil(high / step)
    # Rounding removes 0.30000000000000004 from the labels.
    edges = []
    for index in range(first, last + 1):
        edges.append(round(step * index, 12))
    return Bins(
        tuple(pairwise(edges)),
        are_levels=False,
    )


def number(value: float) -> str:
    """Return a number with the decimals that it has, up to four.

    One too small for that has three significant digits.

    >>> number(0.25), number(1.0), number(-0.0), number(12345.0), number(0.00001)
    ('0.25', '1', '0', '12,345', '1e-05')
    """
    if 0 < abs(value) < 0.0001:
        return f"{value:.3g}"
    # Without a decimal point the zeros at the end would be the number's own.
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _axis_between(
    low: float,
    high: float,
    step: float,
) -> Axis:
    count = round((high - low) / step)
    ticks = []
    for index in range(count + 1):
        # Adding 0.0 turns -0.0 into 0.0, which is shown without a sign.
        ticks.append(round(low + step * index, 12) + 0.0)
    return Axis(
        round(low, 12),
        round(high, 12),
        tuple(ticks),
    )


def _round_step(rough: float) -> float:
    """Return the least of 1, 2, 2.5, 5 and 10, times a power of ten, not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 2.5, 5):
        if factor * power >= rough * (1 - _ROUNDING):
            return factor * power
    return 10 * power
