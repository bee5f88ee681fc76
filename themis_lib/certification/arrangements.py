"""The arrangements in which a model is asked the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from themis_lib.identity.digests import digest

#: Prompts in flight at once: what servers decode as one batch.
WIDTHS = (2, 4, 8, 16, 32, 64)
#: How many are in flight where the order or the beginning of the prompts is tried.
_COMMON_WIDTH = 16
ALONE = "alone"
#: The beginning of the names of what is asked again.
LATER = "again later"
AFTER_PREFIX = "after a prefix, alone"
#: About a hundred tokens in front of each prompt: several blocks of a prefix cache.
SHARED_PREFIX = (
    "You answer questions of many kinds. Read each question to its end before you "
    "answer. Answer in plain words, in the language of the question, and say only what "
    "was asked for. Where a number is asked for, give the number. Where a list is asked "
    "for, give one item a line. Do not apologise, do not repeat the question, and do "
    "not explain how you found the answer unless you are asked to. The question:\n\n"
)


@dataclass(frozen=True)
class Arrangement:
    """One way of asking all prompts: how many at once, in which order, behind what.

    `shuffle` is the seed of the order, `None` for the given one. `round` tells apart
    what is asked again. What comes out is compared with the arrangement
    `compared_with`, and only kept for others where that is `None`.
    """

    name: str
    at_once: int = 1
    shuffle: int | None = None
    has_prefix: bool = False
    round: int = 0
    compared_with: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What makes a row in it another than the row in any other arrangement."""
        return {
            "at_once": self.at_once,
            "shuffle": self.shuffle,
            "has_prefix": self.has_prefix,
            "round": self.round,
        }

    def order(self, prompts: int) -> Sequence[int]:
        """Return the positions of the prompts in the order in which they are asked."""
        if self.shuffle is None:
            return range(prompts)
        seed = [self.shuffle, int(digest("shuffled prompts", self.name), 16)]
        order = np.random.default_rng(seed).permutation(prompts)
        return [int(at) for at in order]


def arrangements(
    prompts: int,
    *,
    rounds: int = 1,
    seed: int = 0,
) -> list[Arrangement]:
    """Return the arrangements for so many prompts, in the order in which to sample them.

    No more are in flight at once than there are prompts. `rounds` is how often they are
    asked again, alone.
    """
    found = [Arrangement(ALONE)]
    for width in WIDTHS:
        if width <= prompts:
            found.append(
                Arrangement(f"{width} at once", width, compared_with=ALONE),
            )
    width = min(_COMMON_WIDTH, prompts)
    found += [
        Arrangement(
            f"shuffled, {width} at once",
            width,
            shuffle=seed,
            compared_with=ALONE,
        ),
        Arrangement(AFTER_PREFIX, has_prefix=True),
        Arrangement(
            f"after a prefix, {width} at once",
            width,
            shuffle=seed,
            has_prefix=True,
            compared_with=AFTER_PREFIX,
        ),
    ]
    for number in range(1, rounds + 1):
        name = LATER if number == 1 else f"{LATER}, {number}"
        found.append(Arrangement(name, round=number, compared_with=ALONE))
    return found
