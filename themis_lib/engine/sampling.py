"""How the next token is chosen from logits, the same on every run.

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
    """The settings of a draw. Temperature 0 takes the most likely token; then only the
    penalty matters.

    `top_k` 0, `top_p` 1 and `min_p` 0 cut nothing. `repetition_penalty` divides the
    logits of tokens that the prompt or the text holds already, or multiplies negative
    ones (Keskar et al. 2019, CTRL, section 4.1). Top-p: Holtzman et al. 2020; min-p:
    Nguyen et al. 2024. Raises `ConfigError` for a setting outside its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _RANGES.items():
            object.__setattr__(
                self,
                name,
                _checked_number(
                    name,
                    getattr(self, name),
                    lowest,
                    highest,
                ),
            )
        if self.top_p == 0:
            raise ConfigError(
                "top_p=0 leaves no token; write a number above 0, or temperature=0 for the likeliest"
            )


def check_seed(seed: Any) -> int:
    """A seed as a Python integer. Raises `ConfigError` for anything but a whole number
    from 0 to 2**64 - 1.
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
    """Uniform numbers in [0, 1), one for each place in a text: Philox (Salmon et al.
    2011) keyed by the seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._bits: np.random.Philox | None = None  # a greedy text needs none
        self._drawn: list[int] = []

    def at(self, place: int) -> float:
        """The number for the token at this place, counted from 0."""
        if self._bits is None:
            self._bits = np.random.Philox(key=self._seed)
        while place >= len(self._drawn):
            self._drawn += self._bits.random_raw(_DRAWS_AT_ONCE).tolist()
        return (self._drawn[place] >> 11) * 2.0**-53


def pick(
    logits: Row,
    sampling: Sampling,
    draw: float,
) -> int:
    """The token that `draw`, uniform in [0, 1), selects; ties go to the smaller token
    id.

    Tokens that must not come have a logit of minus infinity.
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    tokens, weights = _cut_weights(logits, sampling)
    cumulative = np.cumsum(weights)
    place = int(np.searchsorted(cumulative, draw * cumulative[-1], side="right"))
    if place == len(tokens):  # the product was rounded up to the whole
        place = int(np.searchsorted(cumulative, cumulative[-1]))
    return int(tokens[place])


@cache
def exp_digest() -> str:
    """What tells apart the exponentials of this NumPy on this processor, which differ
    in their last bits.
    """
    grid = -np.geomspace(1e-6, 700, 4096)
    return hashlib.sha256(np.exp(grid).tobytes() + np.log(-grid).tobytes()).hexdigest()[
        :16
    ]


def penalized(
    logits: Row,
    seen: Collection[int],
    penalty: float,
) -> Row:
    """The logits with those of tokens seen before made less likely (or more, below 1)."""
    result = logits.copy()
    places = np.fromiter(
        seen,
        dtype=np.int64,
        count=len(seen),
    )
    values = result[places]
    result[places] = np.where(values > 0, values / penalty, values * penalty)
    return result


def log_probabilities(
    logits: Row,
    tokens: Row,
) -> Row:
    """Natural logarithms of the model's own probabilities of some tokens, before any
    setting is applied.
    """
    largest = float(logits.max())
    shifted = logits.astype(np.float64)
    shifted -= largest
    return np.asarray(shifted[tokens] - np.log(np.exp(shifted).sum()))


def most_likely(
    logits: Row,
    count: int,
) -> Row:
    """The `count` most likely tokens, the likeliest first; ties go to the smaller token
    id.
    """
    count = min(count, len(logits))
    if count == 0:
        return np.empty(0, dtype=np.int64)
    border = np.partition(logits, len(logits) - count)[len(logits) - count]
    tokens = np.flatnonzero(logits >= border)
    return tokens[np.argsort(-logits[tokens], kind="stable")][:count]


def _cut_weights(
    logits: Row,
    sampling: Sampling,
) -> tuple[Row, Row]:
    """The tokens that the cuts leave and their unnormalised probabilities."""
    tokens = (
        most_likely(logits, sampling.top_k)
        if sampling.top_k
        else np.arange(len(logits))
    )
    scaled = logits[tokens].astype(np.float64)
    scaled -= scaled.max()
    with np.errstate(
        over="ignore"
    ):  # a temperature next to 0 leaves the likeliest alone
        scaled /= sampling.temperature
    weights = np.exp(scaled)
    if sampling.top_p < 1:
        kept = _nucleus_places(weights, sampling.top_p)
        tokens, weights = tokens[kept], weights[kept]
    if sampling.min_p > 0:
        kept = np.flatnonzero(weights >= sampling.min_p * weights.max())
        tokens, weights = tokens[kept], weights[kept]
    return tokens, weights


def _nucleus_places(
    weights: Row,
    top_p: float,
) -> Row:
    """The fewest of the likeliest places whose weights reach `top_p` of the whole."""
    enough = top_p * weights.sum()
    for count in (_SORTED_FIRST, len(weights)):
        order = most_likely(weights, count)
        reached = np.cumsum(weights[order])
        if reached[-1] >= enough or count >= len(weights):
            break
    return order[: int(np.searchsorted(reached, enough)) + 1]


def _checked_number(
    name: str,
    value: Any,
    lowest: float,
    highest: float,
) -> float:
    """A setting as Python's own number."""
    whole = name == "top_k"
    if isinstance(value, bool) or not isinstance(
        value, (int, np.integer) if whole else (int, float, np.number)
    ):
        raise ConfigError(
            f"{name}={value!r} is not a {'whole ' if whole else ''}number"
        )
    if not lowest <= value <= highest:
        raise ConfigError(
            f"{name}={value!r} is out of range; write a number from {lowest} to {highest}"
        )
    return int(value) if whole else float(value)
