"""After how many cases a test by betting stops, if scores were distributed so.

It is simulated, with a seed: there is no closed form for the looks at growing numbers of
cases. The simulation computes the evidence as the test itself does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from themis_lib.stats.betting import BoundedScores
from themis_lib.stats.clusters import Floats


@dataclass(frozen=True)
class ExpectedStop:
    """How many cases a test takes: mean, median, and the share that it decides at all.

    A repetition that is never decided takes all cases.
    """

    mean: float
    median: float
    decided: float


def expected_stop(
    values: Sequence[float],
    probabilities: Sequence[float],
    null: float,
    *,
    looks: Sequence[int],
    alpha: float = 0.05,
    repetitions: int = 400,
    seed: int = 0,
) -> ExpectedStop:
    """Return after how many cases the hypothesis that the mean is `null` is rejected.

    Scores are drawn from `values`, the first and last of which are the ends of their
    range. `looks` are the numbers of cases after which the evidence is looked at.

    >>> expected_stop([-1, 0, 1], [0, 0.5, 0.5], 0.0, looks=[8, 16, 24]).median
    16.0
    """
    evidence = simulated_evidence(
        values,
        probabilities,
        null,
        looks=looks,
        repetitions=repetitions,
        seed=seed,
    )
    is_decided = evidence >= -np.log(alpha)
    first = np.argmax(is_decided, axis=1)
    ever = is_decided.any(axis=1)
    cases = np.where(ever, np.array(looks)[first], looks[-1])
    return ExpectedStop(
        mean=float(cases.mean()),
        median=float(np.median(cases)),
        decided=float(ever.mean()),
    )


def simulated_evidence(
    values: Sequence[float],
    probabilities: Sequence[float],
    null: float,
    *,
    looks: Sequence[int],
    repetitions: int,
    seed: int,
) -> Floats:
    """Return the logarithms of the evidence: a row for each repetition, a column a look."""
    random = np.random.default_rng(seed)
    steps = np.diff([0, *looks])
    # Scores between two looks matter only by how often each value occurs.
    drawn = [random.multinomial(step, probabilities, repetitions) for step in steps]
    counts = np.cumsum(np.stack(drawn, axis=1), axis=1).astype(np.float64)
    ends = BoundedScores.of(np.array(values), values[0], values[-1])
    return ends.log_e_values(null, counts)
