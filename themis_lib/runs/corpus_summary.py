"""The summary of metrics of a data set: their score in place of a mean of rows.

Its numbers are cached like those of the other metrics, under the metric's fingerprint
and the digest of the sorted statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from themis_lib.components.records import BuiltMetric
from themis_lib.core.config import NoAnswerPolicy, StatisticsConfig
from themis_lib.identity.digests import KEY_BYTES, digest
from themis_lib.runs.corpus_cases import CorpusCases, corpus_rows
from themis_lib.runs.corpus_scores import values_of
from themis_lib.runs.score_groups import Group
from themis_lib.stats.resampling import Resampled, resampled
from themis_lib.storage.rows import open_rows
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, SUMMARY, table_of

#: What `aggregate` says in the summary: what the number of a row is of its cases.
MEAN: Final = "mean"
CORPUS: Final = "corpus"
_CACHED = (
    "n",
    "no_answer",
    "errors",
    "mean",
    "standard_error",
    "low",
    "high",
    "interval_method",
    "clusters",
)
_SCHEMA = pa.schema([SUMMARY.field(name) for name in _CACHED])
#: Increased when the same statistics would be summarised in another way.
_VERSION = "1"


def answer_policy(
    metric: BuiltMetric,
    statistics: StatisticsConfig,
) -> NoAnswerPolicy:
    """Return what a case without an answer counts as under a metric of a data set."""
    if statistics.no_answer == "zero" and metric.unanswered is None:
        return "unknown"
    return statistics.no_answer


def summarise_corpus(
    groups: Mapping[Group, CorpusCases],
    metrics: Mapping[str, tuple[str, BuiltMetric]],
    statistics: StatisticsConfig,
    store: RunStore,
) -> tuple[pa.Table, int]:
    """Return the summary of metrics of a data set, and how many rows were computed.

    `metrics` has the fingerprint of each metric's stage, and the metric.
    """
    rows = []
    computed = 0
    for metric_id, (fingerprint, metric) in metrics.items():
        mine = {group: item for group, item in groups.items() if group[2] == metric_id}
        found, new = _cached_scores(
            list(mine.values()), fingerprint, metric, statistics, store
        )
        computed += new
        for ids, numbers in zip(mine, found, strict=True):
            row = dict(zip(("dataset_id", "slice", "metric_id"), ids, strict=True))
            rows.append(row | _summary_row(numbers, metric, statistics))
    return table_of(rows, SUMMARY), computed


def in_order_of(
    groups: Sequence[Group],
    *tables: pa.Table,
) -> pa.Table:
    """Return the rows of several summaries in the order of their groups."""
    by_group = {}
    for table in tables:
        for row in table.to_pylist():
            by_group[row["dataset_id"], row["slice"], row["metric_id"]] = row
    return table_of([by_group[group] for group in groups], SUMMARY)


def _summary_row(
    numbers: Mapping[str, Any],
    metric: BuiltMetric,
    statistics: StatisticsConfig,
) -> dict[str, Any]:
    """Return a row of the summary without its ids."""
    policy = answer_policy(metric, statistics)
    row = {name: numbers[name] for name in _CACHED}
    row |= {
        "aggregate": CORPUS,
        "no_answer_policy": policy,
        "error_policy": statistics.errors,
    }
    if metric.score_range is not None:
        row["lowest"], row["highest"] = metric.score_range
    # What such a case does to a score of all cases, only its own answer could tell.
    is_undecided = row["errors"] or (row["no_answer"] and policy == "unknown")
    if not is_undecided:
        row["possible_low"], row["possible_high"] = row["low"], row["high"]
    return row


def _cached_scores(
    groups: Sequence[CorpusCases],
    fingerprint: str,
    metric: BuiltMetric,
    statistics: StatisticsConfig,
    store: RunStore,
) -> tuple[list[dict[str, Any]], int]:
    """Return the numbers of each group, and of how many they were computed now."""
    settings = statistics.model_dump(exclude={"interval"})
    # A slice of all cases is computed once.
    described = {"version": _VERSION, "metric": fingerprint, **settings}
    name = digest("stage/corpus_summary", described)
    row_set = open_rows(store, "summary", name, _SCHEMA)
    row_set.refresh()
    keys = []
    for group in groups:
        text = digest("corpus_summary", [name, group.content])
        keys.append(bytes.fromhex(text)[:KEY_BYTES])
    column = pa.array(keys, KEY.type)
    known = set(row_set.find(column)[0].tolist())
    computed: dict[bytes, dict[str, Any]] = {}
    for position, (key, group) in enumerate(zip(keys, groups, strict=True)):
        if position not in known and key not in computed:
            computed[key] = {"key": key, **_compute_numbers(group, metric, statistics)}
    if computed:
        row_set.save(table_of(computed.values(), row_set.schema))
    _, rows = row_set.find(column)
    return rows.to_pylist(), len(computed)


def _compute_numbers(
    group: CorpusCases,
    metric: BuiltMetric,
    statistics: StatisticsConfig,
) -> dict[str, Any]:
    rows = corpus_rows(group, answer_policy(metric, statistics))
    is_forbidden = (statistics.errors == "fail" and rows.failed) or (
        statistics.no_answer == "fail" and rows.unanswered
    )
    numbers = Resampled(None, None, None, None, np.array([]))
    if rows.n and not is_forbidden:
        numbers = resampled(
            values_of(rows, metric),
            rows.unit_count,
            resamples=statistics.resamples,
            seed=statistics.seed,
        )
    is_clustered = group.clusters is not None
    method = "cluster bootstrap" if is_clustered else "bootstrap"
    return {
        "n": rows.n,
        "no_answer": rows.unanswered,
        "errors": rows.failed,
        "mean": numbers.estimate,
        "standard_error": numbers.standard_error,
        "low": numbers.low,
        "high": numbers.high,
        "interval_method": None if numbers.low is None else method,
        "clusters": rows.unit_count if is_clustered else None,
    }
