"""Two runs on the same cases: the mean of the paired differences, its interval, and an
exact test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import ROUNDING, Floats, cluster_totals, clustered_error

CONFIDENCE = 0.95
#: Up to this many units that differ, all their signs are tried: 2 to this power.
_EXACT_UNITS = 16
#: Signs drawn at a time, which keeps memory at some tens of megabytes.
_BLOCK = 4_000_000
#: Sums that differ by less than this part of the whole are the same sum, added up in
#: another order.
_SAME_SUM = 1e-9

BONETT_PRICE = "bonett-price"

Bounds = tuple[float | None, float | None, str | None]


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference candidate − baseline over `n` pairs, in `units` that are
    independent: pairs, or clusters.

    No pair gives no numbers, one pair no error. The interval is at 95 %, and null where
    units do not vary, unless all pairs of scores from 0 to 1 are alike: then it is that
    of Bonett and Price, each unit a pair.
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


def paired_difference(
    baseline: Floats,
    candidate: Floats,
    *,
    clusters: npt.NDArray[np.int64] | None = None,
    resamples: int = 9_999,
    seed: int = 0,
) -> PairedDifference:
    """Compare scores of the same cases; `clusters` gives each pair the number of the
    cluster it belongs to.

    Scores that are all 0 or 1 have McNemar's exact test and the interval of Bonett and
    Price, other scores and clusters a sign-flip permutation test and Student's t over
    the independent units. `resamples` and `seed` are for sign flips that are too many
    to try them all.
    """
    differences = candidate - baseline
    n = len(differences)
    improved, worsened = int((differences > 0).sum()), int((differences < 0).sum())
    if not n:
        return PairedDifference(
            0,
            0,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            0,
            0,
            0,
        )
    groups = np.arange(n) if clusters is None else clusters
    error, (sums, _) = (
        clustered_error(differences, groups),
        cluster_totals(differences, groups),
    )
    units = len(sums)
    if (
        clusters is None
        and np.isin(baseline, (0.0, 1.0)).all()
        and np.isin(candidate, (0.0, 1.0)).all()
    ):
        interval: Bounds = (
            *bonett_price_interval(improved, worsened, n),
            BONETT_PRICE,
        )
        test, p_value = "McNemar, exact", mcnemar_exact(improved, worsened)
    else:
        interval = _t_interval(
            baseline,
            candidate,
            error,
            units,
        )
        test, p_value = sign_flip(
            sums,
            resamples=resamples,
            seed=seed,
        )
    low, high, method = interval
    if method and clusters is not None:
        method = f"cluster {method}"
    return PairedDifference(
        n=n,
        units=units,
        baseline_mean=math.fsum(baseline) / n,
        candidate_mean=math.fsum(candidate) / n,
        difference=math.fsum(differences) / n,
        standard_error=error,
        low=low,
        high=high,
        interval_method=method,
        test=test if clusters is None else f"{test}, by cluster",
        p_value=p_value,
        improved=improved,
        worsened=worsened,
        tied=n - improved - worsened,
    )


def mcnemar_exact(
    improved: int,
    worsened: int,
) -> float:
    """The two-sided p-value that as many pairs rise as fall (McNemar 1947, in its exact
    binomial form).

    >>> mcnemar_exact(86, 150)
    3.7159...e-05
    """
    from scipy.stats import binomtest

    changed = improved + worsened
    return float(binomtest(improved, changed).pvalue) if changed else 1.0


def sign_flip(
    sums: Floats,
    *,
    resamples: int = 9_999,
    seed: int = 0,
) -> tuple[str, float]:
    """The name and the two-sided p-value of a permutation test: how often the total of
    `sums`, one for each independent unit, is as far from 0 when the sign of each is a
    coin's (Fisher 1935, §21).

    All signs are tried where few units differ; else `resamples` are drawn, and the
    observed one is counted among them (Phipson and Smyth 2010). What
    `scipy.stats.permutation_test` computes, without its copies of the data.

    >>> sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0]))
    ('sign flips, exact', 0.0625)
    """
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    observed = abs(math.fsum(sums)) - _SAME_SUM * float(sizes @ counts)
    units = int(counts.sum())
    if units <= _EXACT_UNITS:
        signs = 1 - 2 * ((np.arange(2**units)[:, None] >> np.arange(units)) & 1)
        return "sign flips, exact", float(
            (np.abs(signs @ np.repeat(sizes, counts)) >= observed).mean()
        )
    totals = _drawn_totals(
        sizes,
        counts,
        resamples,
        np.random.default_rng(seed),
    )
    return "sign flips, drawn", float(
        (1 + (np.abs(totals) >= observed).sum()) / (1 + resamples)
    )


def bonett_price_interval(
    improved: int,
    worsened: int,
    pairs: int,
) -> tuple[float, float]:
    """An interval for the difference of two proportions from the same `pairs` (Bonett
    and Price 2012, equation 5).

    Wald's with a pair added to each of the two counts that differ: it keeps its level
    where few pairs, or none, differ (Fagerland, Lydersen and Laake 2014 recommend it).

    >>> [round(bound, 4) for bound in bonett_price_interval(0, 0, 100)]
    [-0.0272, 0.0272]
    """
    from scipy.special import ndtri

    up, down = (improved + 1) / (pairs + 2), (worsened + 1) / (pairs + 2)
    reach = float(ndtri(0.5 + CONFIDENCE / 2)) * math.sqrt(
        (up + down - (up - down) ** 2) / (pairs + 2)
    )
    return max(up - down - reach, -1.0), min(up - down + reach, 1.0)


def _t_interval(
    baseline: Floats,
    candidate: Floats,
    error: float | None,
    units: int,
) -> Bounds:
    """Student's t over the units; where they do not vary, what is known of differences
    that lie within ± 1.
    """
    scores = np.concatenate((baseline, candidate))
    differences = candidate - baseline
    if error is None:
        return None, None, None
    if error > ROUNDING * np.abs(scores).max():
        from scipy.special import stdtrit

        mean = math.fsum(differences) / len(differences)
        reach = float(stdtrit(units - 1, 0.5 + CONFIDENCE / 2)) * error
        return mean - reach, mean + reach, "t"
    common = float(differences[0])
    if (
        (differences == common).all()
        and common in (-1.0, 0.0, 1.0)
        and scores.min() >= 0.0
        and scores.max() <= 1.0
    ):
        return *bonett_price_interval(
            units * (common > 0), units * (common < 0), units
        ), BONETT_PRICE
    return None, None, None


def _drawn_totals(
    sizes: Floats,
    counts: npt.NDArray[np.int64],
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    """Totals with signs drawn at random. Of units of one size only the number with a
    plus matters.
    """
    shared, alone, totals = counts > 1, sizes[counts == 1], np.empty(resamples)
    for start, drawn in _iter_blocks(resamples, int(shared.sum())):
        plus = random.binomial(counts[shared], 0.5, size=(drawn, int(shared.sum())))
        totals[start : start + drawn] = (2 * plus - counts[shared]) @ sizes[shared]
    for start, drawn in _iter_blocks(resamples, len(alone)) if len(alone) else ():
        bits = np.frombuffer(
            random.bytes(drawn * -(-len(alone) // 8)), np.uint8
        ).reshape(drawn, -1)
        signs = np.unpackbits(
            bits,
            axis=1,
            count=len(alone),
        )
        totals[start : start + drawn] += 2 * (signs @ alone) - alone.sum()
    return totals


def _iter_blocks(
    rows: int,
    columns: int,
) -> Iterator[tuple[int, int]]:
    """Where each block of rows starts, and how many it has."""
    most = max(1, _BLOCK // max(columns, 1))
    return ((start, min(most, rows - start)) for start in range(0, rows, most))
