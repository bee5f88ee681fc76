"""The ranking of many runs by Bradley–Terry strengths over their scores case by case.

On each case the better score of two runs wins; equal scores are half a win for both.
Under a pairwise judge a run plays against what the judge compared it with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set

from themis_lib.comparison.case_games import CaseGames
from themis_lib.comparison.ranking import Ranking
from themis_lib.comparison.scored_cases import ScoredCases, scored_cases
from themis_lib.errors import ConfigError, nearest
from themis_lib.runs.results import RunResult, corpus_metric_ids

RESAMPLES = 1_000


def rank_runs(
    *runs: RunResult,
    metric_id: str | None = None,
    cluster_by: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ranking:
    """Rank runs by one metric, with intervals by resampling cases.

    Cases match by dataset, input and expected output; two runs are compared on those
    that both have a score of. A case without an answer loses, unless the first run's
    `no_answer` is not `zero`; one that failed is left out. `cluster_by` names a metadata
    column whose cases are drawn together. `metric_id` may be left out where the runs
    have one in common.

    Raise `ConfigError` for fewer than two runs, a metric that not all have or that is
    one score of a data set, and runs that no case connects.
    """
    _check_runs(runs, resamples)
    sides = [scored_cases(run) for run in runs]
    chosen = _chosen_metric(runs, sides, metric_id)
    cluster_by = cluster_by or runs[0].manifest.statistics.cluster_by
    games = CaseGames.of(runs, sides, chosen, cluster_by)
    return games.ranking(resamples, seed)


def _check_runs(
    runs: Sequence[RunResult],
    resamples: int,
) -> None:
    if len(runs) < 2:
        raise ConfigError(
            f"{len(runs)} run(s) to rank: name two or more, such as 'NAME-*' for the "
            "cells of a matrix"
        )
    for run_id, count in Counter(run.run_id for run in runs).items():
        if count > 1:
            raise ConfigError(f"run {run_id!r} is named twice; rank different runs")
    if resamples < 1:
        raise ConfigError(f"resamples {resamples!r}: draw one or more")


def _chosen_metric(
    runs: Sequence[RunResult],
    sides: Sequence[ScoredCases],
    metric_id: str | None,
) -> str:
    """Return the metric to rank by, which all runs have."""
    corpus = set().union(*map(corpus_metric_ids, runs))
    usable = _shared_metrics(sides, corpus)
    if metric_id is None:
        if len(usable) == 1:
            return usable[0]
        names = ", ".join(map(repr, usable)) or "no metric of cases"
        raise ConfigError(
            f"a ranking is by one metric, and the runs share {names}; name the one to "
            "rank by (`--metric`)"
        )
    if metric_id in corpus:
        names = ", ".join(map(repr, usable)) or "none here"
        raise ConfigError(
            f"{metric_id!r} is one score of all cases, and a ranking compares cases; the "
            f"metrics of cases are: {names}"
        )
    if metric_id not in usable:
        hint = nearest(metric_id, usable) if usable else "they share none"
        raise ConfigError(f"no metric {metric_id!r} in all runs; {hint}")
    return metric_id


def _shared_metrics(
    sides: Sequence[ScoredCases],
    corpus: Set[str],
) -> list[str]:
    """Return the metrics of cases that all runs have, in the first one's order."""
    shared = []
    for name in sides[0].scores:
        if name not in corpus and all(name in side.scores for side in sides):
            shared.append(name)
    return shared
