"""The paired differences of two runs on the same cases: their mean, its interval, and
an exact test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import ROUNDING, Floats, cluster_totals, clustered_error
from themis_lib.stats.intervals import are_01

CONFIDENCE = 0.95
#: Up to this many units that differ, all 2 to this power combinations of their signs
#: are tried.
_EXACT_UNITS = 16
#: Signs drawn at a time, which keeps memory at some tens of megabytes.
_BLOCK = 4_000_000
#: Sums that differ by less than this share are the same sum, added in another order.
_SAME_SUM = 1e-9

BONETT_PRICE = "bonett-price"

Bounds = tuple[float | None, float | None, str | None]


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference candidate − baseline over `n` pairs.

    `units` counts the independent ones: pairs, or clusters. Without a pair there are no
    numbers, with one unit there is no error. The interval is at 95 %, and `None` if
    units do not vary, unless scores are from 0 to 1 and all differences are equal to
    -1, 0 or 1: then it is that of Bonett and Price, each unit a pair.
    """

    n: int
    units: int
    baseline_mean: float | None
    candidate_mean: float | None
    difference: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    interval_method: str | None
    test: str | None
    p_value: float | None
    improved: int
    worsened: int
    tied: int


NO_PAIRS = PairedDifference(
    n=0,
    units=0,
    baseline_mean=None,
    candidate_mean=None,
    difference=None,
    standard_error=None,
    low=None,
    high=None,
    interval_method=None,
    test=None,
    p_value=None,
    improved=0,
    worsened=0,
    tied=0,
)


def paired_difference(
    baseline: Floats,
    candidate: Floats,
    *,
    clusters: npt.NDArray[np.int64] | None = None,
    resamples: int = 9_999,
    seed: int = 0,
) -> PairedDifference:
    """Return the difference of scores of the same cases, with its interval and test.

    `clusters` gives each pair the number of its cluster. Scores that are all 0 or 1
    have McNemar's exact test and the interval of Bonett and Price; other scores, and
    clusters, have a sign-flip permutation test and Student's t over the independent
    units. `resamples` and `seed` are for sign flips that are too many to try them all.
    """
    differences = candidate - baseline
    n = len(differences)
    if not n:
        return NO_PAIRS
    improved = int((differences > 0).sum())
    worsened = int((differences < 0).sum())
    groups = np.arange(n) if clusters is None else clusters
    error = clustered_error(differences, groups)
    sums, _ = cluster_totals(differences, groups)
    units = len(sums)
    # McNemar's test counts pairs, so they have to be independent.
    if clusters is None and are_01(baseline) and are_01(candidate):
        low, high = bonett_price_interval(improved, worsened, n)
        interval: Bounds = (low, high, BONETT_PRICE)
        test, p_value = "McNemar, exact", mcnemar_exact(improved, worsened)
    else:
        interval = _t_interval(baseline, candidate, error, units)
        test, p_value = sign_flip(sums, resamples=resamples, seed=seed)
    if clusters is not None:
        test = f"{test}, by cluster"
        method = interval[2]
        by_cluster = f"cluster {method}" if method else None
        interval = (*interval[:2], by_cluster)
    return PairedDifference(
        n=n,
        units=units,
        baseline_mean=math.fsum(baseline) / n,
        candidate_mean=math.fsum(candidate) / n,
        difference=math.fsum(differences) / n,
        standard_error=error,
        low=interval[0],
        high=interval[1],
        interval_method=interval[2],
        test=test,
        p_value=p_value,
        improved=improved,
        worsened=worsened,
        tied=n - improved - worsened,
    )


def mcnemar_exact(
    improved: int,
    worsened: int,
) -> float:
    """Return the two-sided p-value of McNemar's test, in its exact binomial form.

    The null hypothesis is that as many pairs improve as worsen (McNemar 1947).

    >>> mcnemar_exact(86, 150)
    3.7159...e-05
    """
    # `scipy.stats.binomtest` gives the same; its import takes longer than a comparison.
    from scipy.special import betainc

    if improved == worsened:
        return 1.0
    fewer, more = sorted((improved, worsened))
    # The binomial distribution at one half, up to the smaller count, for both tails.
    return min(2 * float(betainc(more, fewer + 1, 0.5)), 1.0)


def sign_flip(
    sums: Floats,
    *,
    resamples: int = 9_999,
    seed: int = 0,
) -> tuple[str, float]:
    """Return the name and the two-sided p-value of a sign-flip permutation test.

    `sums` has one sum for each independent unit. The p-value is how often their total
    is as far from 0 if the sign of each is drawn by a coin (Fisher 1935, §21). If few
    units differ, all signs are tried; else `resamples` are drawn, and the observed one
    counts among them (Phipson and Smyth 2010). `scipy.stats.permutation_test` computes
    the same, with copies of the data.

    >>> sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0]))
    ('sign flips, exact', 0.0625)
    """
    # Units without a difference have no sign to flip.
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    # Lowered a little, so that totals equal to it but for rounding count as equal.
    observed = abs(math.fsum(sums)) - _SAME_SUM * float(sizes @ counts)
    units = int(counts.sum())
    if units <= _EXACT_UNITS:
        # The bits of the numbers from 0 are all combinations of signs.
        numbers = np.arange(2**units)[:, None]
        bits = (numbers >> np.arange(units)) & 1
        totals = (1 - 2 * bits) @ np.repeat(sizes, counts)
        return "sign flips, exact", float((np.abs(totals) >= observed).mean())
    random = np.random.default_rng(seed)
    totals = _drawn_totals(sizes, counts, resamples, random)
    as_far = int((np.abs(totals) >= observed).sum())
    return "sign flips, drawn", (1 + as_far) / (1 + resamples)


def bonett_price_interval(
    improved: int,
    worsened: int,
    pairs: int,
) -> tuple[float, float]:
    """Return an interval for the difference of two proportions from the same `pairs`.

    It is Wald's with a pair added to each of the two counts that differ (Bonett and
    Price 2012, equation 5). It keeps its level even if few pairs, or none, differ
    (recommended by Fagerland, Lydersen and Laake 2014).

    >>> [round(bound, 4) for bound in bonett_price_interval(0, 0, 100)]
    [-0.0272, 0.0272]
    """
    from scipy.special import ndtri

    up = (improved + 1) / (pairs + 2)
    down = (worsened + 1) / (pairs + 2)
    difference = up - down
    variance = (up + down - difference**2) / (pairs + 2)
    reach = float(ndtri(0.5 + CONFIDENCE / 2)) * math.sqrt(variance)
    return max(difference - reach, -1.0), min(difference + reach, 1.0)


def _t_interval(
    baseline: Floats,
    candidate: Floats,
    error: float | None,
    units: int,
) -> Bounds:
    """Return Student's t interval over the units.

    If they do not vary, return what is known of differences that lie within ± 1.
    """
    # One unit.
    if error is None:
        return None, None, None
    differences = candidate - baseline
    scores = np.concatenate((baseline, candidate))
    if error > ROUNDING * np.abs(scores).max():
        from scipy.special import stdtrit

        mean = math.fsum(differences) / len(differences)
        reach = float(stdtrit(units - 1, 0.5 + CONFIDENCE / 2)) * error
        return mean - reach, mean + reach, "t"
    common = float(differences[0])
    is_common = (differences == common).all()
    is_extreme = common in (-1.0, 0.0, 1.0)
    is_bounded = scores.min() >= 0.0 and scores.max() <= 1.0
    if not (is_common and is_extreme and is_bounded):
        return None, None, None
    improved = units * (common > 0)
    worsened = units * (common < 0)
    low, high = bonett_price_interval(improved, worsened, units)
    return low, high, BONETT_PRICE


def _drawn_totals(
    sizes: Floats,
    counts: npt.NDArray[np.int64],
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    """Return the totals of `resamples` draws of signs for units of these sizes.

    `counts` is how many units have each size.
    """
    totals = np.empty(resamples)
    # Of units of one size only the number with a plus matters: one draw for all.
    is_shared = counts > 1
    shared, shared_counts = sizes[is_shared], counts[is_shared]
    for start, drawn in _iter_blocks(resamples, len(shared)):
        plus = random.binomial(shared_counts, 0.5, size=(drawn, len(shared)))
        totals[start : start + drawn] = (2 * plus - shared_counts) @ shared
    alone = sizes[counts == 1]
    if not len(alone):
        return totals
    # A sign is one random bit; whole bytes need an eighth of the draws.
    row_bytes = math.ceil(len(alone) / 8)
    for start, drawn in _iter_blocks(resamples, len(alone)):
        content = np.frombuffer(random.bytes(drawn * row_bytes), np.uint8)
        rows = content.reshape(drawn, row_bytes)
        signs = np.unpackbits(rows, axis=1, count=len(alone))
        totals[start : start + drawn] += 2 * (signs @ alone) - alone.sum()
    return totals


def _iter_blocks(
    rows: int,
    columns: int,
) -> Iterator[tuple[int, int]]:
    """Yield where each block of rows starts, and how many it has."""
    most = max(1, _BLOCK // max(columns, 1))
    for start in range(0, rows, most):
        yield start, min(most, rows - start)
