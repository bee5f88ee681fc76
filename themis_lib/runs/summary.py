"""The summary: one row for each dataset, slice and metric, errors beside the mean.

Its rows are cached like any stage's, under the settings of the statistics and the
digest of the scores in sorted order: the order of the cases does not matter.
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

_ID_NAMES = ("dataset_id", "slice", "metric_id")
_STATISTICS = [item for item in SUMMARY if item.name not in _ID_NAMES]
_SCHEMA = pa.schema(_STATISTICS)
#: Increased when the same scores would be summarised in another way.
_VERSION = "2"
#: The slice of all cases of a dataset.
ALL_CASES = "all"
#: The cluster of a case without a label: it shares its cluster with no other.
_ALONE = -1

#: A dataset, a slice and a metric.
Group = tuple[str, str, str]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseScores:
    """What a row of the summary is computed from, sorted, so that order cannot matter.

    `scores` has NaN for a case without one. `clusters` has the cluster of each case, -1
    for a case that is alone in its own. `moments` has, for several samples, the
    `sample_moments` of each case.
    """

    scores: Floats
    clusters: Integers | None
    moments: Floats | None

    @property
    def content(self) -> str:
        """The digest of all of it."""
        names = []
        for array in (self.scores, self.clusters, self.moments):
            if array is not None:
                content = array.astype("<f8").tobytes()
                names.append(bytes_digest("scores", content))
        present = [self.clusters is not None, self.moments is not None]
        return digest("case_scores", [*present, *names])


class GroupedScores:
    """The scores of a run, collected shard by shard, by dataset, slice and metric."""

    def __init__(self, evaluation: EvaluationConfig) -> None:
        self._slices = tuple(dict.fromkeys(evaluation.slices))
        self._cluster_by = evaluation.statistics.cluster_by
        self._datasets: defaultdict[str, _DatasetScores] = defaultdict(_DatasetScores)

    def add(
        self,
        cases: pa.Table,
        results: pa.Table,
        samples: Mapping[str, pa.Table],
    ) -> None:
        """Take a shard.

        `results` has a row for each case and metric, cases in the order of `cases`.
        `samples` has the scores of the samples by metric, in the order of the results.
        """
        dataset = self._datasets[cases["dataset_id"][0].as_py()]
        scores = results["score"].to_numpy().reshape(cases.num_rows, len(samples))
        for column, (metric_id, table) in enumerate(samples.items()):
            dataset.scores[metric_id].append(scores[:, column])
            if table.num_rows > cases.num_rows:
                values = table["value"].to_numpy().reshape(cases.num_rows, -1)
                dataset.moments[metric_id].append(sample_moments(values))
        if self._slices or self._cluster_by is not None:
            # Metadata is parsed only if anything is grouped by it.
            metadata = [load_json(text) for text in cases["metadata"].to_pylist()]
            self._add_metadata(dataset, metadata)
        dataset.cases += cases.num_rows

    def _add_metadata(
        self,
        dataset: _DatasetScores,
        metadata: Sequence[Mapping[str, Any]],
    ) -> None:
        for name in self._slices:
            for row, values in enumerate(metadata, start=dataset.cases):
                value = metadata_text(values.get(name))
                dataset.members[f"{name}={value}"].append(row)
        if self._cluster_by is not None:
            for values in metadata:
                label = values.get(self._cluster_by)
                dataset.labels.append(None if label is None else metadata_text(label))

    def groups(self) -> dict[Group, CaseScores]:
        """Return the scores of each group.

        All cases of a dataset come first, then its slices by name.
        """
        is_clustered = self._cluster_by is not None
        groups = {}
        for dataset_id, dataset in self._datasets.items():
            for name, metric_id, scores in dataset.groups(is_clustered=is_clustered):
                groups[dataset_id, name, metric_id] = scores
        return groups


def _new_lists() -> defaultdict[str, list[Any]]:
    return defaultdict(list)


@dataclass
class _DatasetScores:
    """The scores of one dataset, a list item for each shard.

    `members` has the rows of each slice.
    """

    cases: int = 0
    scores: defaultdict[str, list[Floats]] = field(default_factory=_new_lists)
    moments: defaultdict[str, list[Floats]] = field(default_factory=_new_lists)
    members: defaultdict[str, list[int]] = field(default_factory=_new_lists)
    labels: list[str | None] = field(default_factory=list)

    def groups(self, *, is_clustered: bool) -> Iterable[tuple[str, str, CaseScores]]:
        """Yield slice, metric and scores, metric by metric."""
        rows_of: dict[str, Any] = {ALL_CASES: slice(None)}
        rows_of.update(sorted(self.members.items()))
        clusters = _number_labels(self.labels) if is_clustered else None
        for metric_id, parts in self.scores.items():
            scores = np.concatenate(parts)
            moments = None
            if metric_id in self.moments:
                moments = np.concatenate(self.moments[metric_id])
            for name, rows in rows_of.items():
                in_slice = _sorted_scores(
                    scores[rows],
                    None if clusters is None else clusters[rows],
                    None if moments is None else moments[rows],
                )
                yield name, metric_id, in_slice


def _number_labels(labels: Sequence[str | None]) -> Integers:
    """Return a number for each label, in the order of their names."""
    known = sorted({label for label in labels if label is not None})
    number_of = {label: number for number, label in enumerate(known)}
    numbers = []
    for label in labels:
        numbers.append(_ALONE if label is None else number_of[label])
    return np.array(numbers, dtype=np.int64)


def _sorted_scores(
    scores: Floats,
    clusters: Integers | None,
    moments: Floats | None,
) -> CaseScores:
    """Return scores sorted by cluster and value, and moments by value.

    Clusters are numbered without gaps, so that a slice does not depend on the others.
    """
    if clusters is None:
        scores = np.sort(scores)
    else:
        order = np.lexsort((scores, clusters))
        scores, clusters = scores[order], clusters[order]
        is_shared = clusters != _ALONE
        numbers = np.unique(clusters[is_shared], return_inverse=True)[1]
        clusters[is_shared] = numbers
    if moments is not None:
        moments = moments[np.lexsort(moments.T)]
    return CaseScores(scores, clusters, moments)


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


def summarise(
    groups: Mapping[Group, CaseScores],
    statistics: StatisticsConfig,
    store: RunStore,
) -> tuple[pa.Table, int]:
    """Return the summary table, and how many of its rows had to be computed."""
    settings = {"version": _VERSION, **statistics.model_dump()}
    fingerprint = digest("stage/summary", settings)
    row_set = open_rows(
        store,
        "summary",
        fingerprint,
        _SCHEMA,
    )
    row_set.refresh()
    keys = []
    for group in groups.values():
        name = digest("summary", [fingerprint, group.content])
        keys.append(bytes.fromhex(name)[:KEY_BYTES])
    key_column = pa.array(keys, KEY.type)
    known = set(row_set.find(key_column)[0].tolist())
    computed: dict[bytes, dict[str, Any]] = {}
    for position, (key, group) in enumerate(zip(keys, groups.values(), strict=True)):
        # Slices with the same scores share one row.
        if position not in known and key not in computed:
            computed[key] = {"key": key, **_compute_statistics(group, statistics)}
    if computed:
        row_set.save(table_of(computed.values(), row_set.schema))
    _, rows = row_set.find(key_column)
    table = pa.table(
        {
            name: pa.array([group[position] for group in groups], pa.string())
            for position, name in enumerate(_ID_NAMES)
        }
    )
    for item in _STATISTICS:
        table = table.append_column(item, rows[item.name])
    return table.cast(SUMMARY), len(computed)


def lacks_scores(summary: pa.Table) -> bool:
    """Return whether a case has no score although the error policy is `fail`."""
    is_refused = pc.equal(summary["error_policy"], "fail")
    has_errors = pc.greater(summary["errors"], 0)
    return bool(pc.any(pc.and_(is_refused, has_errors)).as_py())


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
        is_alone = group.clusters == _ALONE
        own_numbers = -1 - np.arange(len(is_alone))
        clusters = np.where(is_alone, own_numbers, group.clusters)[is_counted]
    return mean_interval(
        np.where(is_missing, 0.0, group.scores)[is_counted],
        method=statistics.interval,
        clusters=clusters,
        resamples=statistics.resamples,
        seed=statistics.seed,
    )
