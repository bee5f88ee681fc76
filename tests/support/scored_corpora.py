"""Small data sets under metrics of a data set: texts, classes, and their statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, GenerationResult, ParsedOutput

REFERENCES = [
    "the cat sat on the mat in front of the house",
    "it is raining again, and nobody has an umbrella",
    "she reads a long book about the history of rivers",
    "they left early because the last train goes at ten",
    "a small boat was seen near the old harbour",
    "we would like two cups of tea and a piece of cake",
]
TRANSLATIONS = [
    "the cat sat on a mat before the house",
    "it rains again and nobody has an umbrella",
    "she is reading a long book about the history of rivers",
    "they left early since the last train goes at 10",
    "a little boat was seen near the harbour",
    "We would like two cups of tea and some cake",
]


def statistics(
    metric: Any,
    values: Sequence[Any],
    expected: Sequence[Any],
    key: str = "details",
) -> list[Any]:
    """Return the statistics of rows, or the rows' own scores."""
    found = []
    for value, wanted in zip(values, expected, strict=True):
        score = metric.score(
            ParsedOutput(value=value),
            Case(case_id="a", input="", expected_output=wanted),
            ScoreContext(GenerationResult()),
        )
        found.append(getattr(score, key))
    return found


def summed(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the sums of rows' statistics."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row)
    return dict(total)


def labelled(
    random: np.random.Generator,
    count: int,
    *,
    shares: Sequence[float] = (0.5, 0.3, 0.2),
    right: float = 0.75,
) -> tuple[list[str], list[str]]:
    """Draw classes and answers, of which a share is right and the others are guessed."""
    names = np.array(list("ABCDEFGH")[: len(shares)])
    wanted = random.choice(names, count, p=shares)
    guessed = random.choice(names, count)
    named = np.where(random.random(count) < right, wanted, guessed)
    return named.tolist(), wanted.tolist()
