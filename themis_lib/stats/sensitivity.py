"""How often a judge of 0 and 1 agrees with people, where they say 1 and where 0."""

from __future__ import annotations

from dataclasses import dataclass

from themis_lib.stats.clusters import Floats
from themis_lib.stats.intervals import are_01, wilson_ends

_QUANTILE = 1.959963984540054


@dataclass(frozen=True)
class Rate:
    """A share of `n` labelled rows with its 95 % interval; `None` without a row."""

    n: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Accuracy:
    """The sensitivity and the specificity of a judge.

    Sensitivity is the share scored 1 of the rows that people label 1, specificity the
    share scored 0 of those that they label 0.
    """

    sensitivity: Rate
    specificity: Rate


def judge_accuracy(
    scores: Floats,
    labels: Floats,
    probabilities: Floats,
) -> Accuracy | None:
    """Return the sensitivity and specificity over labelled rows, all arrays equally long.

    `probabilities` are those with which rows were drawn for labelling, up to a common
    factor. The intervals are Wilson's; with unequal probabilities for an effective
    number of rows, the squared sum of the weights by the sum of their squares (Kish
    1965; Korn and Graubard 1998). `None` for other scores or labels than 0 and 1.

    >>> import numpy as np
    >>> scores, labels = np.array([1.0, 1, 0, 0, 1]), np.array([1.0, 1, 1, 0, 0])
    >>> found = judge_accuracy(scores, labels, np.ones(5))
    >>> round(found.sensitivity.rate, 4), found.specificity.rate
    (0.6667, 0.5)
    """
    if not are_01(scores) or not are_01(labels):
        return None
    rates = []
    for value in (1.0, 0.0):
        rows = labels == value
        rates.append(_weighted_rate(scores[rows] == value, 1 / probabilities[rows]))
    return Accuracy(*rates)


def _weighted_rate(
    hits: Floats,
    weights: Floats,
) -> Rate:
    if not len(hits):
        return Rate(0, None, None, None)
    if hits.all() or not hits.any():
        # Exactly 0 or 1, which a weighted sum might miss by a last bit.
        rate = float(hits[0])
    else:
        rate = float(weights @ hits / weights.sum())
    effective = float(weights.sum() ** 2 / (weights @ weights))
    return Rate(len(hits), rate, *wilson_ends(rate, effective, _QUANTILE))
