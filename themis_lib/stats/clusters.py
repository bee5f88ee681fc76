"""Scores that come in clusters (the questions about one text, the turns of one
conversation) and vary together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: A difference of less than this share of the largest value is rounding.
ROUNDING = 1e-12


def cluster_totals(
    scores: Floats,
    clusters: npt.NDArray[Any],
) -> tuple[Floats, Floats]:
    """Return the sum and the size of each cluster, ordered by the cluster's name.

    They are the same to the last bit in whatever order the scores are given.
    """
    # Adding floats in another order changes their last bits: sort within clusters too.
    order = np.lexsort((scores, clusters))
    grouped = clusters[order]
    is_first = np.append(True, grouped[1:] != grouped[:-1])
    starts = np.flatnonzero(is_first)
    sizes = np.diff(np.append(starts, len(scores)))
    return np.add.reduceat(scores[order], starts), sizes.astype(np.float64)


def clustered_error(
    scores: Floats,
    clusters: npt.NDArray[Any],
) -> float | None:
    """Return the cluster-robust standard error of a mean, with the correction G/(G-1).

    `None` for fewer than two clusters. Liang and Zeger 1986; for evaluations Miller
    2024, "Adding error bars to evals", equation 4, without the correction.

    >>> scores = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 1], dtype=float)
    >>> round(clustered_error(scores, np.repeat(np.arange(5), 2)), 6)
    0.122474
    """
    if not len(scores):
        return None
    # `fsum` is exact, and so independent of the order of the scores.
    mean = math.fsum(scores) / len(scores)
    deviations, sizes = cluster_totals(scores - mean, clusters)
    count = len(sizes)
    if count < 2:
        return None
    corrected = math.fsum(deviations**2) * count / (count - 1)
    return math.sqrt(corrected) / len(scores)
