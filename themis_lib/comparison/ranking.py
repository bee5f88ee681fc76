"""The data of a ranking, for tables, pages and programs."""

from __future__ import annotations

from themis_lib.core.models import FrozenModel


class RankedRun(FrozenModel):
    """One run in a ranking; `run_id` is `None` for what a pairwise judge compared with.

    `strength` is a logarithm, of mean 0 over the runs: of two runs, e to the power of
    their difference is to 1 as the wins of one to those of the other. `low` and `high`
    are its 95 % interval; `best_rank` and `worst_rank` are the places, from 1, that it
    has in 95 % of the resamples, and `first_share` how often it is first. `wins`,
    `losses` and `ties` are over all its comparisons.
    """

    name: str
    run_id: str | None
    rank: int
    strength: float
    low: float
    high: float
    best_rank: int
    worst_rank: int
    first_share: float
    wins: int
    losses: int
    ties: int


class Ranking(FrozenModel):
    """Runs by strength, the strongest first.

    `chances[i][j]` is the chance that run i beats run j on a case, a tie counted as half
    of one. `cases` counts those that two runs or more have a score of. `notes` say what
    is not as usual: no finite strengths fitted best, or cases were left out.
    """

    metric_id: str
    higher_is_better: bool
    runs: list[RankedRun]
    chances: list[list[float]]
    cases: int
    cluster_by: str | None
    resamples: int
    seed: int
    notes: list[str]
