"""The scores of a run by dataset, slice and metric, sorted so that order cannot matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.config import EvaluationConfig
from themis_lib.core.metadata import metadata_text
from themis_lib.identity.digests import bytes_digest, digest, load_json
from themis_lib.runs.corpus_cases import CorpusCases
from themis_lib.stages.missing import Missing
from themis_lib.stats.clusters import Floats
from themis_lib.stats.variance import sample_moments

#: The slice of all cases of a dataset.
ALL_CASES = "all"
#: The cluster of a case without a label: it shares its cluster with no other.
ALONE = -1
#: In place of the score of a case without an answer; no score is infinite.
UNANSWERED = -np.inf

#: A dataset, a slice and a metric.
Group = tuple[str, str, str]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseScores:
    """What a row of the summary is computed from, sorted, so that order cannot matter.

    `scores` has NaN for a case that failed, and `UNANSWERED` for one without an answer.
    `clusters` has the cluster of each case, -1
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

    @property
    def unanswered(self) -> int:
        """How many cases have no answer."""
        return int(np.count_nonzero(self.scores == UNANSWERED))

    @property
    def failed(self) -> int:
        """How many cases failed."""
        return int(np.count_nonzero(np.isnan(self.scores)))

    def with_scores(
        self,
        *,
        unanswered: float | None,
        failed: float | None = None,
    ) -> CaseScores:
        """Return the cases with these scores for those that have none.

        With `None`, cases without an answer are left out and failed ones stay failed.
        """
        scores, clusters = self.scores, self.clusters
        is_unanswered = scores == UNANSWERED
        if unanswered is not None:
            scores = np.where(is_unanswered, unanswered, scores)
        elif is_unanswered.any():
            scores = scores[~is_unanswered]
            clusters = None if clusters is None else clusters[~is_unanswered]
        if failed is not None:
            scores = np.where(np.isnan(scores), failed, scores)
        if scores is self.scores:
            return self
        return replace(_sorted_scores(scores, clusters, None), moments=self.moments)


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
        lines: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Take a shard.

        `results` has a row for each case and metric, cases in the order of `cases`, and
        `missing` where a score is. `samples` has the scores of the samples by metric, in
        the order of the results. `lines` has those of its cases by metric of a data
        set, see `corpus_cases`.
        """
        dataset = self._datasets[cases["dataset_id"][0].as_py()]
        is_unanswered = pc.equal(results["missing"], Missing.NO_ANSWER)
        scores = np.where(
            pc.fill_null(is_unanswered, False).to_numpy(),
            UNANSWERED,
            results["score"].to_numpy(),
        ).reshape(cases.num_rows, len(samples))
        for metric_id, texts in lines.items():
            dataset.lines[metric_id] += texts
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

    def observed(self, metric_id: str) -> Floats:
        """Return all scores under a metric, of every dataset."""
        parts = []
        for dataset in self._datasets.values():
            parts += dataset.scores[metric_id]
        scores: Floats = np.concatenate(parts) if parts else np.array([])
        is_score: npt.NDArray[np.bool_] = np.isfinite(scores)
        found: Floats = scores[is_score]
        return found

    def in_order(
        self,
        dataset_id: str,
        metric_id: str,
    ) -> Floats:
        """Return the scores of a dataset under a metric, in the order of its cases."""
        dataset = self._datasets.get(dataset_id)
        parts = [] if dataset is None else dataset.scores[metric_id]
        return np.concatenate(parts) if parts else np.array([])

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

    def corpus_groups(self) -> dict[Group, CorpusCases]:
        """Return the cases of each group under each metric of a data set."""
        groups = {}
        for dataset_id, dataset in self._datasets.items():
            clusters = None
            if self._cluster_by is not None:
                clusters = _number_labels(dataset.labels)
            for metric_id, lines in dataset.lines.items():
                for name, rows in dataset.rows_by_slice().items():
                    groups[dataset_id, name, metric_id] = CorpusCases.sorted(
                        [lines[row] for row in rows],
                        None if clusters is None else clusters[rows],
                    )
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
    lines: defaultdict[str, list[str]] = field(default_factory=_new_lists)
    labels: list[str | None] = field(default_factory=list)

    def rows_by_slice(self) -> dict[str, Sequence[int]]:
        """Return the rows of all cases, then of each slice by name."""
        every: dict[str, Sequence[int]] = {ALL_CASES: list(range(self.cases))}
        return every | dict(sorted(self.members.items()))

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
        numbers.append(ALONE if label is None else number_of[label])
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
        is_shared = clusters != ALONE
        numbers = np.unique(clusters[is_shared], return_inverse=True)[1]
        clusters[is_shared] = numbers
    if moments is not None:
        moments = moments[np.lexsort(moments.T)]
    return CaseScores(scores, clusters, moments)
