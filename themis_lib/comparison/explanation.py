"""The data of an explanation: which setting moved the score by how much."""

from __future__ import annotations

from pydantic import Field

from themis_lib.core.models import FrozenModel


class MovedCase(FrozenModel):
    """A case whose score a factor moved, and by how much of the case's difference."""

    case_id: str
    share: float
    baseline_score: float
    candidate_score: float


class FactorShare(FrozenModel):
    """What one factor adds to the difference of the means.

    The shares of all factors sum to the difference. The interval is at 95 %, over the
    cases; `None` where their shares do not vary. `raised` and `lowered` count the cases
    whose score the factor moved; `cases` has those that it moved most.
    """

    factor: str
    share: float
    low: float | None
    high: float | None
    interval_method: str | None
    raised: int
    lowered: int
    cases: list[MovedCase]


class ExplainedScore(FrozenModel):
    """The difference of one metric on one dataset, shared out among the factors.

    Means are over `n` paired cases that have a score in every cell; `left_out` counts
    the other pairs.
    """

    dataset_id: str
    metric_id: str
    higher_is_better: bool = True
    n: int
    left_out: int
    baseline_mean: float | None
    candidate_mean: float | None
    difference: float | None
    shares: list[FactorShare]


class Explanation(FrozenModel):
    """Why the scores of two runs differ: Shapley shares of what was set differently.

    `factors` has the values that differ by factor. `cells` counts the mixed experiments
    that were evaluated, and `computed` the rows that the store lacked for them by stage.
    `sampled_orders` is how many random orders of the factors stand for all of them;
    `None` where all were taken. `unpaired` counts the cases that only one run has.
    """

    baseline: str
    candidate: str
    baseline_name: str
    candidate_name: str
    factors: dict[str, list[str]]
    scores: list[ExplainedScore]
    cells: int
    computed: dict[str, int] = Field(default_factory=dict)
    sampled_orders: int | None = None
    seed: int = 0
    unpaired: int = 0
    cluster_by: str | None = None
