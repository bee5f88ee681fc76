"""What a sample of rows proves about all of them: how many can be bad at most."""

from __future__ import annotations

import math


def most_bad_rows(
    rows: int,
    *,
    sampled: int,
    bad: int = 0,
    confidence: float = 0.95,
) -> int:
    """Return how many of `rows` can be bad at most, `bad` of the `sampled` being so.

    The sample is drawn without replacement, so that the bound is exact: the largest
    number of bad rows under which at most `bad` are drawn with a probability above
    1 − `confidence` (the hypergeometric distribution; Buonaccorsi 1987). For many more
    rows than are sampled, and no bad one, its share tends to 1 − (1 − confidence)^(1/n).
    Raise `ValueError` for counts that no sample has.

    >>> most_bad_rows(1_000_000, sampled=299)
    9967
    >>> most_bad_rows(300, sampled=300)
    0
    """
    if not 0 <= bad <= sampled <= rows:
        raise ValueError(f"no sample of {sampled} from {rows} rows has {bad} bad ones")
    # At least those that were found, and at most those that were not seen to be good.
    low, high = bad, rows - sampled + bad
    while low < high:
        middle = (low + high + 1) // 2
        if _at_most(bad, rows, middle, sampled) > 1 - confidence:
            low = middle
        else:
            high = middle - 1
    return low


def _at_most(
    bad: int,
    rows: int,
    bad_rows: int,
    sampled: int,
) -> float:
    """Return the probability that a sample has at most `bad` of so many bad rows.

    `scipy.stats.hypergeom.cdf` gives the same; its import takes longer than a sample.
    """
    least = max(0, sampled - (rows - bad_rows))
    draws = _log_choices(rows, sampled)
    total = 0.0
    for found in range(least, min(bad, bad_rows) + 1):
        good = _log_choices(rows - bad_rows, sampled - found)
        total += math.exp(_log_choices(bad_rows, found) + good - draws)
    return total


def _log_choices(n: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose `k` of `n`."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
