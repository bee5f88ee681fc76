"""Runs as players who meet on each case: who won, and what strengths that shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from themis_lib.comparison.ranking import RankedRun, Ranking
from themis_lib.comparison.scored_cases import ScoredCases, cluster_numbers
from themis_lib.errors import ConfigError
from themis_lib.runs.random_order import Content
from themis_lib.runs.results import RunResult
from themis_lib.runs.score_groups import UNANSWERED
from themis_lib.stats.bradley_terry import (
    are_connected,
    components,
    has_maximum,
    strengths,
    win_chances,
)
from themis_lib.stats.clusters import Floats

_PAIRWISE_JUDGE = "builtin/judge_pairwise"
#: Fits at a time, and counts in memory: some tens of megabytes.
_AT_ONCE = 200
_COUNTS_AT_ONCE = 2_000_000
#: 95 % of the resamples are between these shares of them.
_ENDS = (0.025, 0.975)
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseGames:
    """The comparisons case by case.

    `pairs` are the players that meet, `points` what the first of each pair wins on each
    case: 1, ½ or 0, and NaN where they do not meet. `units` is what is drawn as one.
    """

    players: list[tuple[str, str | None]]
    metric_id: str
    higher_is_better: bool
    pairs: list[tuple[int, int]]
    points: Floats
    units: Integers
    cluster_by: str | None
    notes: list[str]

    @staticmethod
    def of(
        runs: Sequence[RunResult],
        sides: Sequence[ScoredCases],
        metric_id: str,
        cluster_by: str | None,
    ) -> CaseGames:
        """Return the comparisons of runs under a metric."""
        higher = metric_id not in runs[0].manifest.lower_is_better
        scores, clusters, notes = _score_table(runs, sides, metric_id, cluster_by)
        players: list[tuple[str, str | None]] = _player_names(runs)
        rival = _rival(runs, metric_id)
        if rival is not None:
            players.append((rival, None))
            last = len(runs)
            pairs = [(at, last) for at in range(last)]
            # Points of a judge are the win itself; no answer is a loss.
            points = np.where(scores == UNANSWERED, 0.0, scores)
        else:
            pairs = list(combinations(range(len(runs)), 2))
            points = _points(scores, pairs, higher)
        met = ~np.isnan(points).all(axis=1)
        units = np.unique(clusters[met], return_inverse=True)[1].astype(np.int64)
        return CaseGames(
            players,
            metric_id,
            higher,
            pairs,
            points[met],
            units,
            cluster_by,
            notes,
        )

    def ranking(
        self,
        resamples: int,
        seed: int,
    ) -> Ranking:
        """Return the strengths with their intervals, the strongest first."""
        units = int(self.units.max(initial=-1)) + 1
        if units < 2:
            raise ConfigError(
                f"the runs share {len(self.points):,} case(s) with a score of "
                f"{self.metric_id!r}; a ranking needs two that are independent"
            )
        won, met = self._unit_sums(units)
        once = self._table(np.ones((1, units)), won, met)
        self._check_connected(once[0])
        notes = list(self.notes)
        if not has_maximum(once)[0]:
            notes.append(
                "a group of runs never lost to the others, so that no finite strengths "
                "fit best: each side of a pair is given half a win more"
            )
        fitted = strengths(once)[0]
        drawn = self._draw(won, met, units, resamples, seed)
        places = _places(drawn)
        lows, highs = np.quantile(drawn, _ENDS, axis=0)
        best, worst = np.quantile(places, _ENDS, axis=0, method="closest_observation")
        ranks = _places(fitted[None])[0]
        order = sorted(
            range(len(self.players)), key=lambda at: (ranks[at], self.players[at])
        )
        runs = []
        for at in order:
            name, run_id = self.players[at]
            wins, losses, ties = self._counts(at)
            runs.append(
                RankedRun(
                    name=name,
                    run_id=run_id,
                    rank=int(ranks[at]),
                    strength=float(fitted[at]),
                    low=float(lows[at]),
                    high=float(highs[at]),
                    best_rank=int(best[at]),
                    worst_rank=int(worst[at]),
                    first_share=float((places[:, at] == 1).mean()),
                    wins=wins,
                    losses=losses,
                    ties=ties,
                )
            )
        return Ranking(
            metric_id=self.metric_id,
            higher_is_better=self.higher_is_better,
            runs=runs,
            chances=win_chances(fitted[order]).tolist(),
            cases=len(self.points),
            cluster_by=self.cluster_by,
            resamples=resamples,
            seed=seed,
            notes=notes,
        )

    def _unit_sums(self, units: int) -> tuple[Floats, Floats]:
        """Return the points and the comparisons of each pair, unit by unit."""
        shape = (units, len(self.pairs))
        won, met = np.zeros(shape), np.zeros(shape)
        np.add.at(won, self.units, np.nan_to_num(self.points))
        np.add.at(met, self.units, (~np.isnan(self.points)).astype(np.float64))
        # Sorted, so that the order of the cases cannot matter.
        order = np.lexsort(np.concatenate([won, met], axis=1).T)
        return won[order], met[order]

    def _table(
        self,
        counts: Floats,
        won: Floats,
        met: Floats,
    ) -> Floats:
        """Return who won how much of whom, a table for each row of `counts`."""
        players = len(self.players)
        points, games = counts @ won, counts @ met
        table = np.zeros((len(counts), players, players))
        for at, (first, second) in enumerate(self.pairs):
            table[:, first, second] = points[:, at]
            table[:, second, first] = games[:, at] - points[:, at]
        return table

    def _draw(
        self,
        won: Floats,
        met: Floats,
        units: int,
        resamples: int,
        seed: int,
    ) -> Floats:
        """Return the strengths in each resample that connects the players."""
        random = np.random.default_rng(seed)
        found = []
        at_once = min(_AT_ONCE, max(_COUNTS_AT_ONCE // units, 1))
        for start in range(0, resamples, at_once):
            size = min(at_once, resamples - start)
            counts = random.multinomial(units, np.full(units, 1 / units), size=size)
            tables = self._table(counts.astype(np.float64), won, met)
            games = tables + np.swapaxes(tables, -1, -2)
            found.append(strengths(tables[are_connected(games)]))
        drawn: Floats = np.concatenate(found)
        if not len(drawn):
            raise ConfigError(
                f"too few cases of {self.metric_id!r} connect the runs to rank them"
            )
        return drawn

    def _counts(self, player: int) -> tuple[int, int, int]:
        """Return the wins, losses and ties of a player."""
        wins = losses = ties = 0
        for at, pair in enumerate(self.pairs):
            if player not in pair:
                continue
            points = self.points[:, at]
            own = points if pair[0] == player else 1 - points
            wins += int((own > 0.5).sum())
            losses += int((own < 0.5).sum())
            ties += int((own == 0.5).sum())
        return wins, losses, ties

    def _check_connected(self, table: Floats) -> None:
        groups = components(table + table.T)
        if len(groups) == 1:
            return
        names = [
            ", ".join(repr(self.players[at][0]) for at in group) for group in groups
        ]
        raise ConfigError(
            f"no case connects {names[0]} with {names[1]}: runs that share no case with "
            f"a score of {self.metric_id!r} have no common scale; rank each group alone"
        )


def _places(log_strengths: Floats) -> Integers:
    """Return the place of each player, from 1; equal strengths share the better one."""
    # Strengths that are equal but for rounding are equal.
    rounded = log_strengths.round(9)
    above = rounded[:, None, :] > rounded[:, :, None]
    places: Integers = 1 + above.sum(axis=-1)
    return places


def _points(
    scores: Floats,
    pairs: Sequence[tuple[int, int]],
    higher_is_better: bool,
) -> Floats:
    """Return what the first run of each pair wins on each case; NaN without a score."""
    # The sentinel of no answer is below all scores, whichever way is better.
    sign = 1.0 if higher_is_better else -1.0
    worth = np.where(scores == UNANSWERED, UNANSWERED, sign * scores)
    columns = []
    for first, second in pairs:
        one, other = worth[:, first], worth[:, second]
        points = 0.5 + 0.5 * (one > other) - 0.5 * (one < other)
        columns.append(np.where(np.isnan(one) | np.isnan(other), np.nan, points))
    return np.stack(columns, axis=1)


def _score_table(
    runs: Sequence[RunResult],
    sides: Sequence[ScoredCases],
    metric_id: str,
    cluster_by: str | None,
) -> tuple[Floats, Integers, list[str]]:
    """Return the scores of each case and run, the cases' clusters, and notes."""
    row_of: dict[Content, int] = {}
    for side in sides:
        for content in side.contents:
            row_of.setdefault(content, len(row_of))
    table = np.full((len(row_of), len(sides)), np.nan)
    labels: dict[int, str | None] = {}
    for column, side in enumerate(sides):
        places = [row_of[content] for content in side.contents]
        table[places, column] = side.scores[metric_id]
        if cluster_by is not None:
            rows = np.arange(len(places))
            values = side.column(cluster_by, rows)
            # The first run that has a case says its cluster, as it says the policy.
            labels = dict(zip(places, values, strict=True)) | labels
    notes = []
    if runs[0].manifest.statistics.no_answer != "zero":
        left_out = int((table == UNANSWERED).sum())
        table = np.where(table == UNANSWERED, np.nan, table)
        if left_out:
            notes.append(f"{left_out:,} answer(s) are missing and left out")
    failed = sum(int(np.isnan(side.scores[metric_id]).sum()) for side in sides)
    if failed:
        notes.append(f"{failed:,} case(s) failed and are left out")
    if cluster_by is None:
        return table, np.arange(len(row_of)), notes
    values = [labels[row] for row in range(len(row_of))]
    return table, cluster_numbers(values), notes


def _player_names(runs: Sequence[RunResult]) -> list[tuple[str, str | None]]:
    """Return the name and id of each run: its experiment's, where that tells them apart."""
    counts = Counter(run.manifest.name for run in runs)
    named: list[tuple[str, str | None]] = []
    for run in runs:
        name = run.manifest.name if counts[run.manifest.name] == 1 else run.run_id
        named.append((name, run.run_id))
    return named


def _rival(
    runs: Sequence[RunResult],
    metric_id: str,
) -> str | None:
    """Return what a pairwise judge compared the runs with; `None` for other metrics."""
    rivals: set[str | None] = set()
    for run in runs:
        record = run.manifest.stage(f"score[{metric_id}]")
        identity: Mapping[str, object] = (
            record.identity.get("metric", {}) if record else {}
        )
        if identity.get("component_id") != _PAIRWISE_JUDGE:
            rivals.add(None)
            continue
        settings = identity.get("settings")
        against = settings.get("against") if isinstance(settings, Mapping) else None
        rivals.add("expected output" if against is None else f"metadata {against}")
    if len(rivals) > 1:
        raise ConfigError(
            f"the runs' judges of {metric_id!r} compared with different rivals: "
            f"{' and '.join(sorted(map(str, rivals)))}; rank runs with one rival"
        )
    return rivals.pop()
