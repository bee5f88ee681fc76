"""The choice of the next token from logits, the same on every run.

A draw depends on the seed and on its place in the text alone, so that neither a
neighbour in the batch nor a setting of another sequence can disturb it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from themis_lib.errors import ConfigError

#: One number for each token of the vocabulary.
Row: TypeAlias = np.ndarray[Any, np.dtype[Any]]

#: Seeds are keys of Philox as NumPy takes them.
LARGEST_SEED = 2**64 - 1
#: Philox counts, so that this number decides the speed alone, not the draws.
_DRAWS_AT_ONCE = 256
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_k": (0, 2**31),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
}
#: Tokens that are sorted before a cut by `top_p` looks further.
_SORTED_FIRST = 1024


@dataclass(
    frozen=True,
    slots=True,
)
class Sampling:
    """The settings of a draw.

    Temperature 0 takes the most likely token; then only the penalty matters. `top_k` 0,
    `top_p` 1 and `min_p` 0 cut nothing. `repetition_penalty` divides the logits of
    tokens that the prompt or the text holds already, or multiplies negative ones
    (Keskar et al. 2019, CTRL, section 4.1). Top-p: Holtzman et al. 2020; min-p: Nguyen
    et al. 2024. Raises `ConfigError` for a setting outside its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            whole = name == "top_k"
            kinds = (int, np.integer) if whole else (int, float, np.number)
            # `True` is an `int` too, and always a mistake here.
            if isinstance(value, bool) or not isinstance(value, kinds):
                kind = "whole number" if whole else "number"
                raise ConfigError(f"{name}={value!r} is not a {kind}")
            # NaN fails every comparison, and so this one.
            if not lowest <= value <= highest:
                raise ConfigError(
                    f"{name}={value!r} is out of range; "
                    f"write a number from {lowest} to {highest}"
                )
            # Replaced by Python's own number: settings become part of a fingerprint,
            # where NumPy's are not JSON.
            number = int(value) if whole else float(value)
            object.__setattr__(self, name, number)
        if self.top_p == 0:
            raise ConfigError(
                "top_p=0 leaves no token; "
                "write a number above 0, or temperature=0 for the likeliest"
            )


def check_seed(seed: Any) -> int:
    """Return a seed as a Python integer.

    Raises `ConfigError` for anything but a whole number from 0 to 2**64 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ConfigError(
            f"seed={seed!r} is not a whole number; write one from 0 to 2**64 - 1"
        )
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(
            f"seed={seed!r} is out of range; write a whole number from 0 to 2**64 - 1"
        )
    return int(seed)


class Draws:
    """Uniform numbers in [0, 1), one for each place in a text.

    They are those of Philox (Salmon et al. 2011) keyed by the seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        # Made at the first draw: a greedy text needs none.
        self._bits: np.random.Philox | None = None
        self._drawn: list[int] = []

    def at(self, place: int) -> float:
        """Return the number for the token at this place, counted from 0."""
        if self._bits is None:
            self._bits = np.random.Philox(key=self._seed)
        while place >= len(self._drawn):
            block = self._bits.random_raw(_DRAWS_AT_ONCE)
            self._drawn += block.tolist()
        # The upper 53 bits, as many as a double holds. Raw, because NumPy promises the
        # bits of a generator for ever, but not those of its distributions.
        return (self._drawn[place] >> 11) * 2.0**-53


def pick(
    logits: Row,
    sampling: Sampling,
    draw: float,
) -> int:
    """Return the token that `draw`, uniform in [0, 1), selects.

    Ties go to the smaller token id. Tokens that must not come have a logit of minus
    infinity.
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    tokens, weights = _cut_weights(logits, sampling)
    cumulative = np.cumsum(weights)
    # Scaling the draw, not the weights, costs one rounding instead of one per token.
    threshold = draw * cumulative[-1]
    place = int(np.searchsorted(cumulative, threshold, side="right"))
    if place == len(tokens):
        # The product was rounded up to the whole. From the left, because tokens of
        # weight 0 at the end must not come.
        place = int(np.searchsorted(cumulative, cumulative[-1]))
    return int(tokens[place])


@cache
def exp_digest() -> str:
    """Return what tells apart the exponentials of NumPy on this processor.

    They differ in their last bits from one build and processor to another.
    """
    grid = -np.geomspace(1e-6, 700, 4096)
    numbers = np.exp(grid).tobytes() + np.log(-grid).tobytes()
    return hashlib.sha256(numbers).hexdigest()[:16]


def penalized(
    logits: Row,
    seen: Collection[int],
    penalty: float,
) -> Row:
    """Return logits in which tokens seen before are less likely (more, if below 1)."""
    # A copy: log-probabilities are read from the row as the model gave it.
    result = logits.copy()
    places = np.fromiter(
        seen,
        dtype=np.int64,
        count=len(seen),
    )
    values = result[places]
    # Dividing a negative logit would make its token more likely.
    changed = np.where(
        values > 0,
        values / penalty,
        values * penalty,
    )
    result[places] = changed
    return result


def log_probabilities(
    logits: Row,
    tokens: Row,
) -> Row:
    """Return natural logarithms of the model's own probabilities of some tokens.

    They are those before any setting is applied.
    """
    largest = float(logits.max())
    # In double precision: the sum over the vocabulary loses digits in single.
    shifted = logits.astype(np.float64)
    # Without the largest, the exponential would overflow.
    shifted -= largest
    total = np.exp(shifted).sum()
    return np.asarray(shifted[tokens] - np.log(total))


def most_likely(
    logits: Row,
    count: int,
) -> Row:
    """Return the `count` most likely tokens, the likeliest first.

    Ties go to the smaller token id.
    """
    size = len(logits)
    count = min(count, size)
    if count == 0:
        return np.empty(0, dtype=np.int64)
    # A partition finds the border without sorting the vocabulary. All tokens at the
    # border are sorted, since it leaves open which of equal ones it puts above.
    border = np.partition(logits, size - count)[size - count]
    tokens = np.flatnonzero(logits >= border)
    order = np.argsort(-logits[tokens], kind="stable")
    return tokens[order][:count]


def _cut_weights(
    logits: Row,
    sampling: Sampling,
) -> tuple[Row, Row]:
    """Return the tokens that the cuts leave, and their unnormalised probabilities."""
    if sampling.top_k:
        tokens = most_likely(logits, sampling.top_k)
    else:
        tokens = np.arange(len(logits))
    scaled = logits[tokens].astype(np.float64)
    scaled -= scaled.max()
    # A temperature next to 0 leaves the likeliest alone: all others overflow.
    with np.errstate(over="ignore"):
        scaled /= sampling.temperature
    weights = np.exp(scaled)
    # In this order: `top_p` is a share of the weights before `min_p` cuts any.
    if sampling.top_p < 1:
        kept = _nucleus_places(weights, sampling.top_p)
        tokens = tokens[kept]
        weights = weights[kept]
    if sampling.min_p > 0:
        least = sampling.min_p * weights.max()
        kept = np.flatnonzero(weights >= least)
        tokens = tokens[kept]
        weights = weights[kept]
    return tokens, weights


def _nucleus_places(
    weights: Row,
    top_p: float,
) -> Row:
    """Return the fewest of the likeliest places that reach `top_p` of all weights."""
    enough = top_p * weights.sum()
    for count in (_SORTED_FIRST, len(weights)):
        order = most_likely(weights, count)
        reached = np.cumsum(weights[order])
        if reached[-1] >= enough or count >= len(weights):
            break
    length = int(np.searchsorted(reached, enough)) + 1
    return order[:length]
