"""Evidence that stays valid however often it is looked at: e-values and confidence
sequences for the mean of bounded scores.

A gambler bets on each score against the hypothesis that the mean is m. If that is true,
his expected capital is what he began with, and it ever reaches 1/α with a probability of
at most α (Ville 1939). So the capital is an e-value at any time, also at one that the
scores decided; the means that it has not yet refuted are a confidence sequence
(Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting").

The bets are those of Cover's (1991) universal portfolio: the stake is spread evenly over
all constant bets. For scores of 0 and 1 this is the beta mixture of Robbins (1970); for
the differences of such scores and m = 0 it is B(1 + r, 1 + f) · 2^(r + f) of the r pairs
that rise and the f that fall. The order of the scores does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from themis_lib.stats.clusters import Floats

# Any fixed set of bets makes a martingale. These are the nodes of a quadrature that is
# exact up to 511 scores which are not between the ends, and close to it beyond.
_BETS = 256
# Halvings of the range: the ends are found to 10⁻¹⁵ of it.
_HALVINGS = 50
# An end of the range itself as the mean: only scores that all lie there agree with it.
_NEAREST_TO_END = 1e-12


@dataclass(frozen=True)
class BoundedScores:
    """Scores within `lowest` and `highest`, as far as e-values depend on them.

    `shares` are the different scores as shares of the range, `counts` how often each
    occurs.
    """

    shares: Floats
    counts: Floats
    lowest: float
    highest: float

    @staticmethod
    def of(
        scores: Floats,
        lowest: float,
        highest: float,
    ) -> BoundedScores:
        """Return the scores as shares. Raise `ValueError` for one outside its range."""
        if not lowest < highest:
            raise ValueError(f"no scores lie between {lowest!r} and {highest!r}")
        values, counts = np.unique(scores, return_counts=True)
        # NaN fails this test too.
        if len(values) and not (values[0] >= lowest and values[-1] <= highest):
            outside = values[(values < lowest) | (values > highest) | np.isnan(values)]
            raise ValueError(
                f"score {float(outside[0])!r} is not within {lowest!r} to {highest!r}"
            )
        shares = (values - lowest) / (highest - lowest)
        return BoundedScores(shares, counts.astype(np.float64), lowest, highest)

    def with_more(
        self,
        count: int,
        share: float,
    ) -> BoundedScores:
        """Return the scores with `count` more, all at this share of the range."""
        return BoundedScores(
            np.append(self.shares, share),
            np.append(self.counts, float(count)),
            self.lowest,
            self.highest,
        )

    def log_e_value(self, mean: float) -> float:
        """Return the logarithm of the evidence against a mean within the range.

        With u the share of a score and M that of the mean, the bet θ multiplies the
        capital by u·θ/M + (1 − u)·(1 − θ)/(1 − M). It is averaged over θ from 0 to 1.
        """
        return float(self.log_e_values(mean, self.counts))

    def log_e_values(
        self,
        mean: float,
        counts: Floats,
    ) -> Floats:
        """Return the same for other counts of these scores, along the last dimension."""
        share = (mean - self.lowest) / (self.highest - self.lowest)
        share = min(max(share, _NEAREST_TO_END), 1 - _NEAREST_TO_END)
        bets, log_weights = _bets()
        gains = np.outer(bets / share, self.shares)
        gains += np.outer((1 - bets) / (1 - share), 1 - self.shares)
        logs = counts @ np.log(gains).T + log_weights
        greatest = logs.max(axis=-1, keepdims=True)
        sums = np.exp(logs - greatest).sum(axis=-1)
        found: Floats = greatest[..., 0] + np.log(sums)
        return found


def e_value(
    scores: Floats,
    mean: float,
    *,
    lowest: float,
    highest: float,
) -> float:
    """Return the evidence against a mean: its expected value is at most 1 if it is true.

    Infinite where it is too large for a float. Raise `ValueError` for a score outside
    its range.

    >>> rose, fell = [1.0] * 10, [-1.0] * 1
    >>> round(e_value(np.array(rose + fell), 0.0, lowest=-1.0, highest=1.0), 4)
    15.5152
    """
    log_value = BoundedScores.of(scores, lowest, highest).log_e_value(mean)
    return math.exp(log_value) if log_value < 700 else math.inf


def confidence_sequence(
    scores: Floats,
    *,
    lowest: float,
    highest: float,
    alpha: float = 0.05,
) -> tuple[float, float]:
    """Return the ends of the means whose e-value is below 1/α.

    With a probability of at least 1 − α the true mean is between them at every time.
    The e-value is log-convex in the mean, as a mixture of products of log-convex
    factors: the means not refuted are one interval, and the mean of the scores, whose
    e-value is at most 1, is in it. Without scores it is the whole range. Raise
    `ValueError` for a score outside its range.

    >>> ends = confidence_sequence(np.array([1.0] * 18 + [0.0] * 2), lowest=0, highest=1)
    >>> [round(end, 4) for end in ends]
    [0.5897, 0.9963]
    """
    if not len(scores):
        return lowest, highest
    bounded = BoundedScores.of(scores, lowest, highest)
    limit = -math.log(alpha)
    centre = min(max(math.fsum(scores) / len(scores), lowest), highest)
    low = _end(bounded, lowest, centre, limit)
    high = _end(bounded, highest, centre, limit)
    return low, high


def could_refute(
    scores: Floats,
    mean: float,
    *,
    left: int,
    lowest: float,
    highest: float,
    alpha: float = 0.05,
) -> tuple[bool, bool]:
    """Return whether `left` more scores could refute a mean from below, and from above.

    From below: all of them are the highest, and the e-value reaches 1/α. No other
    continuation reaches it if these two do not: the e-value is linear in each score,
    convex in how many of them are at one end, and convex in their number.

    >>> could_refute(np.zeros(10), 0.0, left=5, lowest=-1, highest=1)
    (False, False)
    >>> could_refute(np.zeros(10), 0.0, left=8, lowest=-1, highest=1)
    (True, True)
    """
    bounded = BoundedScores.of(scores, lowest, highest)
    limit = -math.log(alpha)
    found = []
    for share in (1.0, 0.0):
        found.append(bounded.with_more(left, share).log_e_value(mean) >= limit)
    return found[0], found[1]


def _end(
    scores: BoundedScores,
    outer: float,
    inner: float,
    limit: float,
) -> float:
    """Return the mean nearest to `outer` that is not refuted; `inner` is not."""
    if scores.log_e_value(outer) < limit:
        return outer
    for _ in range(_HALVINGS):
        middle = (outer + inner) / 2
        if scores.log_e_value(middle) < limit:
            inner = middle
        else:
            outer = middle
    # The refuted side: an interval that is a last bit too wide keeps its promise.
    return outer


@lru_cache(maxsize=1)
def _bets() -> tuple[Floats, Floats]:
    """Return the bets from 0 to 1, and the logarithms of the stakes on them."""
    from scipy.special import roots_legendre

    nodes, weights = roots_legendre(_BETS)
    return (nodes + 1) / 2, np.log(weights / weights.sum())
