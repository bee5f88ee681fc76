"""The summary: one row for each dataset, slice and metric, missing scores beside the mean.

Its numbers are cached like a stage's rows, under the settings of the statistics and the
digest of the scores in sorted order: the order of the cases does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.config import EvaluationConfig, NoAnswerPolicy, StatisticsConfig
from themis_lib.errors import ConfigError, nearest
from themis_lib.identity.digests import KEY_BYTES, digest, load_json
from themis_lib.runs.corpus_summary import MEAN
from themis_lib.runs.score_groups import (
    ALL_CASES as ALL_CASES,
)
from themis_lib.runs.score_groups import (
    ALONE,
    CaseScores,
    Group,
)
from themis_lib.runs.score_range import ScoreRange
from themis_lib.stages.reading import read
from themis_lib.stats.intervals import Interval, mean_interval
from themis_lib.stats.variance import variance_split
from themis_lib.storage.rows import open_rows
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, SUMMARY, table_of

#: The columns that are cached, by the scores that they are computed from.
_CACHED = (
    "n",
    "errors",
    "error_policy",
    "mean",
    "standard_error",
    "low",
    "high",
    "interval_method",
    "clusters",
    "between_variance",
    "within_variance",
)
_SCHEMA = pa.schema([SUMMARY.field(name) for name in _CACHED])
#: Of these a row has none where missing scores forbid a mean.
_NUMBERS = ("mean", "standard_error", "low", "high", "interval_method")
#: Increased when the same scores would be summarised in another way.
_VERSION = "2"


def check_columns(
    evaluation: EvaluationConfig,
    shards: Sequence[Shard],
    store: RunStore,
) -> None:
    """Raise `ConfigError` for a slice or cluster by metadata that no case has."""
    missing = dict.fromkeys(evaluation.slices, "evaluation.slices")
    cluster_by = evaluation.statistics.cluster_by
    if cluster_by is not None:
        missing.setdefault(cluster_by, "evaluation.statistics.cluster_by")
    known: set[str] = set()
    for shard in shards:
        if not missing:
            return  # found all: the rest of the data need not be read
        for text in pc.unique(read(store, shard.cases)["metadata"]).to_pylist():
            known.update(load_json(text))
        for name in known & missing.keys():
            del missing[name]
    if missing:
        name = min(missing)
        hint = nearest(name, known) if known else "no case has any"
        raise ConfigError(f"{missing[name]}: no case has metadata {name!r}; {hint}")


@dataclass(frozen=True)
class CountedScores:
    """The scores of a group as its mean counts them, and as they might have been.

    `least` and `most` have the lowest and the highest score possible for each case that
    is left out although it might have one.
    """

    group: CaseScores
    range: ScoreRange
    policy: NoAnswerPolicy
    counted: CaseScores
    least: CaseScores
    most: CaseScores


def count_scores(
    group: CaseScores,
    scores: ScoreRange,
    statistics: StatisticsConfig,
) -> CountedScores:
    """Return what the cases of a group count as under the policies for missing scores."""
    policy: NoAnswerPolicy = statistics.no_answer
    if policy == "zero" and scores.worst is None:
        policy = "unknown"
    unanswered = scores.worst if policy == "zero" else None
    is_left_out = statistics.errors == "exclude"
    ends = []
    for end in (scores.lowest, scores.highest):
        ends.append(
            group.with_scores(
                unanswered=end if policy == "unknown" else unanswered,
                failed=end if is_left_out else None,
            )
        )
    return CountedScores(
        group,
        scores,
        policy,
        group.with_scores(unanswered=unanswered),
        *ends,
    )


def summarise(
    groups: Mapping[Group, CaseScores],
    statistics: StatisticsConfig,
    store: RunStore,
    ranges: Mapping[str, ScoreRange],
) -> tuple[pa.Table, int]:
    """Return the summary table, and how many of its rows had to be computed.

    `ranges` has the scores that each metric can give.
    """
    items = []
    for (_, _, metric_id), group in groups.items():
        items.append(count_scores(group, ranges[metric_id], statistics))
    count = len(items)
    scores = [item.counted for item in items]
    # What might have been comes behind what is: it makes no row of its own.
    scores += [item.least for item in items]
    scores += [item.most for item in items]
    numbers, computed = _cached_statistics(scores, statistics, store)
    rows = []
    for position, (ids, item) in enumerate(zip(groups, items, strict=True)):
        mine, least, most = numbers[position::count]
        row = dict(zip(("dataset_id", "slice", "metric_id"), ids, strict=True))
        rows.append(row | _summary_row(item, mine, least, most))
    return table_of(rows, SUMMARY), sum(position < count for position in computed)


def _summary_row(
    item: CountedScores,
    numbers: Mapping[str, Any],
    least: Mapping[str, Any],
    most: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a row of the summary without its ids."""
    row = {name: numbers[name] for name in _CACHED}
    unanswered = item.group.unanswered
    if row["error_policy"] == "zero":
        # `n` is what the mean is over.
        row["n"] += row["errors"]
    if unanswered and item.policy == "fail":
        row |= dict.fromkeys(_NUMBERS)
    row["aggregate"] = MEAN
    row["no_answer"] = unanswered
    row["no_answer_policy"] = item.policy
    row["no_answer_score"] = item.range.worst if item.policy == "zero" else None
    row["lowest"], row["highest"] = item.range.lowest, item.range.highest
    lows = [row["low"], least["low"]]
    highs = [row["high"], most["high"]]
    # An end that any of them lacks is not known.
    row["possible_low"] = None if None in lows else min(lows)
    row["possible_high"] = None if None in highs else max(highs)
    return row


def _cached_statistics(
    scores: Sequence[CaseScores],
    statistics: StatisticsConfig,
    store: RunStore,
) -> tuple[list[dict[str, Any]], set[int]]:
    """Return the statistics of each item, and the positions of those computed now.

    Items with the same scores are computed once, for the first of them.
    """
    # What a case without an answer counts as is in the scores.
    settings = statistics.model_dump(exclude={"no_answer"})
    fingerprint = digest("stage/summary", {"version": _VERSION, **settings})
    row_set = open_rows(
        store,
        "summary",
        fingerprint,
        _SCHEMA,
    )
    row_set.refresh()
    key_of: dict[int, bytes] = {}
    keys = []
    for item in scores:
        # Where nothing is missing, several are the same object.
        if id(item) not in key_of:
            name = digest("summary", [fingerprint, item.content])
            key_of[id(item)] = bytes.fromhex(name)[:KEY_BYTES]
        keys.append(key_of[id(item)])
    key_column = pa.array(keys, KEY.type)
    known = set(row_set.find(key_column)[0].tolist())
    computed: dict[bytes, dict[str, Any]] = {}
    positions = set()
    for position, (key, item) in enumerate(zip(keys, scores, strict=True)):
        if position not in known and key not in computed:
            computed[key] = {"key": key, **_compute_statistics(item, statistics)}
            positions.add(position)
    if computed:
        row_set.save(table_of(computed.values(), row_set.schema))
    _, rows = row_set.find(key_column)
    return rows.to_pylist(), positions


def lacks_scores(summary: pa.Table) -> bool:
    """Return whether a case has no score although the policy for it is `fail`."""
    lacking = []
    for policy, count in (
        ("error_policy", "errors"),
        ("no_answer_policy", "no_answer"),
    ):
        is_refused = pc.equal(summary[policy], "fail")
        is_missing = pc.greater(summary[count], 0)
        lacking.append(pc.any(pc.and_(is_refused, is_missing)).as_py())
    return any(lacking)


def _compute_statistics(
    group: CaseScores,
    statistics: StatisticsConfig,
) -> dict[str, Any]:
    errors = int(np.isnan(group.scores).sum())
    interval = _compute_interval(group, errors, statistics)
    split = None if group.moments is None else variance_split(group.moments)
    return {
        "n": len(group.scores) - errors,
        "errors": errors,
        "error_policy": statistics.errors,
        "mean": interval.mean,
        "standard_error": interval.standard_error,
        "low": interval.low,
        "high": interval.high,
        "interval_method": interval.method,
        "clusters": interval.clusters,
        "between_variance": None if split is None else split.between,
        "within_variance": None if split is None else split.within,
    }


def _compute_interval(
    group: CaseScores,
    errors: int,
    statistics: StatisticsConfig,
) -> Interval:
    if statistics.errors == "fail" and errors:
        return Interval(
            None,
            None,
            None,
            None,
            None,
        )
    is_missing = np.isnan(group.scores)
    is_counted = ~is_missing | (statistics.errors == "zero")
    clusters = None
    if group.clusters is not None:
        # A case that is alone gets a cluster number of its own, below all others.
        is_alone = group.clusters == ALONE
        own_numbers = -1 - np.arange(len(is_alone))
        clusters = np.where(is_alone, own_numbers, group.clusters)[is_counted]
    return mean_interval(
        np.where(is_missing, 0.0, group.scores)[is_counted],
        method=statistics.interval,
        clusters=clusters,
        resamples=statistics.resamples,
        seed=statistics.seed,
    )
