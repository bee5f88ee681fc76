"""Which items are labelled next: draws whose every beginning is a probability sample.

Each item has a weight and a random number of its own, and the order is by the number
divided by the weight: sequential Poisson sampling (Ohlsson 1998). The first k items are
a sample of fixed size k in which item i is included with probability min(1, c·w_i), where
c makes the probabilities sum to k. So a person may stop anywhere and go on later: the
probabilities follow from the weights and from how far the order was gone through. They
depend on scores of the run alone, never on a label.

Active weights are (1 - τ)·u_i/mean(u) + τ: they prefer items with an uncertain score, and
τ keeps every item reachable (Zrnic and Candès 2024, "Active statistical inference").
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.errors import ConfigError, nearest
from themis_lib.identity.digests import digest, load_json_or_null
from themis_lib.labels.items import RunItems
from themis_lib.labels.questions import Question
from themis_lib.labels.stored_labels import LabelStore
from themis_lib.storage.tables import DRAWS, column_digests

Floats = npt.NDArray[np.float64]
DrawMethod = Literal["uniform", "active"]
#: The share of an active draw that is uniform, τ.
UNIFORM_SHARE = 0.5
#: Random numbers have this many bits, what a float holds exactly.
_BITS = 53
#: The largest seed: a browser, whose numbers are floats, returns it as it is.
MOST_SEED = (1 << _BITS) - 1


@dataclass(frozen=True)
class Draw:
    """The items of a population in the order in which they are labelled.

    `name` is the digest of all of it. `weights` are in the order of `items`.
    """

    name: str
    method: DrawMethod
    seed: int
    items: tuple[str, ...]
    weights: Floats

    def keep(self, labels: LabelStore) -> None:
        """Keep the draw, so that later readers know the probabilities of its items."""
        labels.keep_draw(self.name, _draw_table(self.items, self.weights))


def draw_items(
    items: RunItems,
    *,
    method: DrawMethod = "uniform",
    seed: int = 0,
    uniform_share: float = UNIFORM_SHARE,
) -> Draw:
    """Return the items of a run in drawn order.

    The random number of an item follows from method, seed and item, so that a grown
    dataset keeps the relative order of its old items. Raise `ConfigError` for an unknown
    method, or a seed below 0 or above `MOST_SEED`.
    """
    _check_drawing(method, seed)
    # In the order of the keys: that of the cases changes nothing.
    names = sorted(set(items.rows["item"].to_pylist()))
    weights = np.ones(len(names))
    if method == "active":
        weights = _active_weights(items, names, uniform_share)
    numbers = np.array([_random_number(method, seed, name) for name in names])
    order = np.argsort(numbers / weights, kind="stable")
    drawn = tuple(names[at] for at in order)
    table = _draw_table(drawn, weights[order])
    identity = {"method": method, "seed": seed, "columns": column_digests(table)}
    return Draw(digest("draw", identity), method, seed, drawn, weights[order])


def _check_drawing(
    method: str,
    seed: int,
) -> None:
    if method not in get_args(DrawMethod):
        raise ConfigError(f"sample {method!r}: {nearest(method, get_args(DrawMethod))}")
    if not 0 <= seed <= MOST_SEED:
        raise ConfigError(f"seed {seed!r}: write a whole number from 0 to {MOST_SEED}")


def inclusion_probabilities(
    weights: Floats,
    count: int,
) -> Floats:
    """Return the probability of each item to be among the first `count` of a draw.

    min(1, c·w_i), where c makes them sum to `count`.

    >>> inclusion_probabilities(np.array([1.0, 1.0, 8.0]), 2).tolist()
    [0.5, 0.5, 1.0]
    """
    probabilities = np.ones_like(weights)
    is_open = np.ones(len(weights), dtype=bool)
    if count >= len(weights):
        return probabilities
    # Each round sets the items that reach 1 aside, and shares out what is left.
    while True:
        left = count - np.count_nonzero(~is_open)
        shared = left * weights / weights[is_open].sum()
        reached = is_open & (shared >= 1)
        if not reached.any():
            probabilities[is_open] = shared[is_open]
            return probabilities
        is_open &= ~reached


def uncertainties(items: RunItems) -> dict[str, float]:
    """Return how uncertain the score of each item is, from 0 to 0.5.

    √(p(1 - p)), where p is the mean of the judges' votes, or else the score, scaled to
    0 to 1; the mean over the rows of the item.
    """
    question = items.question
    found: defaultdict[str, list[float]] = defaultdict(list)
    rows = zip(
        items.rows["item"].to_pylist(),
        items.rows["score"].to_pylist(),
        items.rows["details"].to_pylist(),
        strict=True,
    )
    for item, score, details in rows:
        share = _mean_vote(details, question)
        if share is None:
            share = (score - question.lowest) / (question.highest - question.lowest)
        found[item].append(float(np.sqrt(max(share * (1 - share), 0.0))))
    return {item: float(np.mean(values)) for item, values in found.items()}


def _active_weights(
    items: RunItems,
    names: list[str],
    uniform_share: float,
) -> Floats:
    by_item = uncertainties(items)
    uncertain = np.array([by_item[name] for name in names])
    mean = uncertain.mean() if len(names) else 0.0
    # Scores that are all certain leave nothing to prefer.
    if mean == 0:
        return np.ones(len(names))
    return (1 - uniform_share) * uncertain / mean + uniform_share


def _mean_vote(
    details: str | None,
    question: Question,
) -> float | None:
    """Return the mean of a panel's votes, scaled to 0 to 1; `None` without a panel."""
    votes = _votes(details)
    if len(votes) < 2:
        return None
    low, high = _range_of_votes(question)
    share = (sum(votes) / len(votes) - low) / (high - low)
    return min(max(share, 0.0), 1.0)


def _votes(details: str | None) -> list[float]:
    """Return the votes in a score's details; none where judges did not vote."""
    values = load_json_or_null(details)
    votes = values.get("votes") if isinstance(values, dict) else None
    if not isinstance(votes, list):
        return []
    return [float(vote) for vote in votes if isinstance(vote, int | float)]


def _range_of_votes(question: Question) -> tuple[float, float]:
    """Return the lowest and the highest vote: grades are votes as they were given."""
    grades = [item for item in question.listed or () if isinstance(item, int)]
    if grades:
        return min(grades), max(grades)
    return question.lowest, question.highest


def _random_number(
    method: str,
    seed: int,
    item: str,
) -> float:
    """Return a number above 0 and up to 1 that method, seed and item decide."""
    content = hashlib.sha256(f"draw:{method}:{seed}:{item}".encode()).digest()
    whole = int.from_bytes(content[:8], "big") >> (64 - _BITS)
    return (whole + 1) / (1 << _BITS)


def _draw_table(
    items: tuple[str, ...],
    weights: Floats,
) -> pa.Table:
    return pa.table([pa.array(items, pa.string()), pa.array(weights)], schema=DRAWS)
