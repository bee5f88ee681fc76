"""The summary of a run that was to stop when decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.core.config import StatisticsConfig
from themis_lib.runs.score_groups import CaseScores, Group
from themis_lib.runs.score_range import ScoreRange
from themis_lib.runs.sequential import CONFIDENCE_SEQUENCE
from themis_lib.runs.summary import CountedScores, count_scores
from themis_lib.stats.betting import confidence_sequence
from themis_lib.storage.tables import SUMMARY, table_of

#: What depends on a number of cases that was fixed before.
_FIXED = (
    "standard_error",
    "low",
    "high",
    "interval_method",
    "possible_low",
    "possible_high",
)


def with_confidence_sequences(
    summary: pa.Table,
    groups: Mapping[Group, CaseScores],
    statistics: StatisticsConfig,
    ranges: Mapping[str, ScoreRange],
) -> pa.Table:
    """Return a summary with confidence sequences in place of the intervals.

    An interval for a number of cases that was fixed before does not keep its level where
    the scores decided how many there are. `ranges` has the metrics that declare theirs:
    other rows have no interval, nor has a row without a mean or of cases in clusters.
    """
    rows = []
    for row, (ids, group) in zip(summary.to_pylist(), groups.items(), strict=True):
        row |= dict.fromkeys(_FIXED)
        metric_id = ids[2]
        is_independent = group.clusters is None
        if row["mean"] is not None and is_independent and metric_id in ranges:
            item = count_scores(group, ranges[metric_id], statistics)
            row |= _sequence_columns(item, statistics)
        rows.append(row)
    return table_of(rows, SUMMARY)


def _sequence_columns(
    item: CountedScores,
    statistics: StatisticsConfig,
) -> dict[str, Any]:
    ends = []
    for group in (item.counted, item.least, item.most):
        scores = group.scores
        if statistics.errors == "zero":
            scores = np.nan_to_num(scores)
        found = confidence_sequence(
            scores[~np.isnan(scores)],
            lowest=item.range.lowest,
            highest=item.range.highest,
        )
        ends.append(found)
    lows, highs = zip(*ends, strict=True)
    return {
        "low": lows[0],
        "high": highs[0],
        "interval_method": CONFIDENCE_SEQUENCE,
        "possible_low": min(lows),
        "possible_high": max(highs),
    }
