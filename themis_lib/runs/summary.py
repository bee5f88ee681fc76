"""The summary: one row for each dataset, slice and metric, with the errors counted
beside the mean.

Its rows are cached like any stage's, under the settings of the statistics and the
digest of what they summarise in sorted order, so that the order of the cases does not
matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.config import EvaluationConfig, StatisticsConfig
from themis_lib.core.metadata import metadata_text
from themis_lib.errors import ConfigError, nearest
from themis_lib.identity.digests import KEY_BYTES, bytes_digest, digest, load_json
from themis_lib.stages.reading import read
from themis_lib.stats.clusters import Floats
from themis_lib.stats.intervals import Interval, mean_interval
from themis_lib.stats.variance import sample_moments, variance_split
from themis_lib.storage.rows import open_rows
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, SUMMARY, table_of

_STATISTICS = [
    item for item in SUMMARY if item.name not in ("dataset_id", "slice", "metric_id")
]
_SCHEMA = pa.schema(_STATISTICS)
_VERSION = "2"
ALL_CASES = "all"
#: The cluster of a case that shares its own with no other.
_ALONE = -1

Group = tuple[str, str, str]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseScores:
    """What a row of the summary is made of, in one order for the same cases: scores,
    NaN for a case without one; the cluster of each case, -1 for one of its own; and,
    for several samples, the `sample_moments` of each case.
    """

    scores: Floats
    clusters: Integers | None
    moments: Floats | None

    @property
    def content(self) -> str:
        """The digest of all of it."""
        arrays = [array for array in (self.clusters, self.moments) if array is not None]
        names = [
            bytes_digest("scores", array.astype("<f8").tobytes())
            for array in (self.scores, *arrays)
        ]
        return digest(
            "case_scores", [self.clusters is not None, self.moments is not None, *names]
        )


class GroupedScores:
    """GroupedScores of a run, collected shard by shard and grouped by dataset, slice and
    metric.
    """

    def __init__(self, evaluation: EvaluationConfig) -> None:
        self._slices = tuple(dict.fromkeys(evaluation.slices))
        self._cluster_by = evaluation.statistics.cluster_by
        self._datasets: defaultdict[str, _DatasetScores] = defaultdict(_DatasetScores)

    def add(
        self, cases: pa.Table, results: pa.Table, samples: Mapping[str, pa.Table]
    ) -> None:
        """Take a shard: the results, a row for each case and metric, cases in the order
        of `cases`; and the scores of the samples for each metric, metrics in the order
        of the results.
        """
        dataset = self._datasets[cases["dataset_id"][0].as_py()]
        scores = results["score"].to_numpy().reshape(cases.num_rows, len(samples))
        for column, (metric_id, table) in enumerate(samples.items()):
            dataset.scores[metric_id].append(scores[:, column])
            if table.num_rows > cases.num_rows:
                values = table["value"].to_numpy().reshape(cases.num_rows, -1)
                dataset.moments[metric_id].append(sample_moments(values))
        names = (
            self._slices
            if self._cluster_by is None
            else (*self._slices, self._cluster_by)
        )
        metadata = (
            [load_json(text) for text in cases["metadata"].to_pylist()] if names else []
        )
        for name in self._slices:
            for row, values in enumerate(metadata, start=dataset.cases):
                dataset.members[f"{name}={metadata_text(values.get(name))}"].append(row)
        if self._cluster_by is not None:
            dataset.labels += [
                _label(values.get(self._cluster_by)) for values in metadata
            ]
        dataset.cases += cases.num_rows

    def groups(self) -> dict[Group, CaseScores]:
        """The scores of each group; slices stand behind their dataset's whole, in the
        order of their names.
        """
        return {
            (dataset_id, name, metric_id): scores
            for dataset_id, dataset in self._datasets.items()
            for name, metric_id, scores in dataset.groups(
                clustered=self._cluster_by is not None
            )
        }


@dataclass
class _DatasetScores:
    """The scores of one dataset, a list item for each shard; `members` are the rows of
    each slice.
    """

    cases: int = 0
    scores: defaultdict[str, list[Floats]] = field(
        default_factory=lambda: defaultdict(list)
    )
    moments: defaultdict[str, list[Floats]] = field(
        default_factory=lambda: defaultdict(list)
    )
    members: defaultdict[str, list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )
    labels: list[str | None] = field(default_factory=list)

    def groups(self, *, clustered: bool) -> Iterable[tuple[str, str, CaseScores]]:
        """Slice, metric and scores, by metric."""
        rows_of: dict[str, Any] = {
            ALL_CASES: slice(None),
            **dict(sorted(self.members.items())),
        }
        clusters = _codes(self.labels) if clustered else None
        for metric_id, parts in self.scores.items():
            scores = np.concatenate(parts)
            moments = (
                np.concatenate(self.moments[metric_id])
                if metric_id in self.moments
                else None
            )
            for name, rows in rows_of.items():
                in_slice = [
                    array if array is None else array[rows]
                    for array in (clusters, moments)
                ]
                yield name, metric_id, _ordered(scores[rows], *in_slice)


def _label(value: Any) -> str | None:
    return None if value is None else metadata_text(value)


def _codes(labels: Sequence[str | None]) -> Integers:
    """A number for each label, in the order of their names."""
    code = {
        label: number
        for number, label in enumerate(
            sorted({label for label in labels if label is not None})
        )
    }
    return np.array(
        [_ALONE if label is None else code[label] for label in labels], dtype=np.int64
    )


def _ordered(
    scores: Floats, clusters: Integers | None, moments: Floats | None
) -> CaseScores:
    """The scores by cluster and value, the clusters numbered without gaps, and the
    moments by value.
    """
    if clusters is not None:
        order = np.lexsort((scores, clusters))
        scores, clusters = scores[order], clusters[order]
        shared = clusters != _ALONE
        clusters[shared] = np.unique(clusters[shared], return_inverse=True)[1]
    else:
        scores = np.sort(scores)
    return CaseScores(
        scores, clusters, None if moments is None else moments[np.lexsort(moments.T)]
    )


def check_columns(
    evaluation: EvaluationConfig, shards: Sequence[Shard], store: RunStore
) -> None:
    """Refuse slices and clusters by a metadata column that no case has. Raises
    `ConfigError`.
    """
    cluster_by = evaluation.statistics.cluster_by
    missing = dict.fromkeys(evaluation.slices, "evaluation.slices")
    if cluster_by is not None:
        missing.setdefault(cluster_by, "evaluation.statistics.cluster_by")
    known: set[str] = set()
    for shard in shards:
        if not missing:
            return
        for text in pc.unique(read(store, shard.cases)["metadata"]).to_pylist():
            known.update(load_json(text))
        missing = {
            name: setting for name, setting in missing.items() if name not in known
        }
    if missing:
        name = min(missing)
        hint = nearest(name, known) if known else "no case has any"
        raise ConfigError(f"{missing[name]}: no case has metadata {name!r}; {hint}")


def summarise(
    groups: Mapping[Group, CaseScores], statistics: StatisticsConfig, store: RunStore
) -> tuple[pa.Table, int]:
    """The summary table, and how many of its rows had to be computed."""
    fingerprint = digest(
        "stage/summary", {"version": _VERSION, **statistics.model_dump()}
    )
    row_set = open_rows(store, "summary", fingerprint, _SCHEMA)
    row_set.refresh()
    keys = [
        bytes.fromhex(digest("summary", [fingerprint, group.content]))[:KEY_BYTES]
        for group in groups.values()
    ]
    known = set(row_set.find(pa.array(keys, KEY.type))[0].tolist())
    members = list(groups.values())
    missing = {
        key: position for position, key in enumerate(keys) if position not in known
    }
    computed = [
        {"key": key, **_statistics(members[position], statistics)}
        for key, position in missing.items()
    ]
    if computed:
        row_set.save(table_of(computed, row_set.schema))
    _, rows = row_set.find(pa.array(keys, KEY.type))
    ids = pa.table(
        {
            name: pa.array([group[at] for group in groups], pa.string())
            for at, name in enumerate(SUMMARY.names[:3])
        }
    )
    for item in _STATISTICS:
        ids = ids.append_column(item, rows[item.name])
    return ids.cast(SUMMARY), len(computed)


def lacks_scores(summary: pa.Table) -> bool:
    """Whether a case is without a score where the policy is that none may be."""
    refused = pc.and_(
        pc.equal(summary["error_policy"], "fail"), pc.greater(summary["errors"], 0)
    )
    return bool(pc.any(refused).as_py())


def _statistics(group: CaseScores, statistics: StatisticsConfig) -> dict[str, Any]:
    errors = int(np.isnan(group.scores).sum())
    interval = _interval(group, errors, statistics)
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
        "between_variance": split and split.between,
        "within_variance": split and split.within,
    }


def _interval(group: CaseScores, errors: int, statistics: StatisticsConfig) -> Interval:
    if statistics.errors == "fail" and errors:
        return Interval(None, None, None, None, None)
    missing = np.isnan(group.scores)
    kept = ~missing | (statistics.errors == "zero")
    clusters = None
    if group.clusters is not None:
        alone = group.clusters == _ALONE
        clusters = np.where(alone, -1 - np.arange(len(alone)), group.clusters)[kept]
    return mean_interval(
        np.where(missing, 0.0, group.scores)[kept],
        method=statistics.interval,
        clusters=clusters,
        resamples=statistics.resamples,
        seed=statistics.seed,
    )
