"""How far metrics agree with people: reduced scores against a column of the cases'
metadata.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.models import FrozenModel
from themis_lib.errors import ConfigError, nearest
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.stages.reading import read
from themis_lib.stats.agreement import cohens_kappa
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore


class AgreementRecord(FrozenModel):
    """One metric against one column of labels on one dataset; see
    `stats.agreement.Agreement`.

    `n` counts the cases with both; `errors` those with a label and no score,
    `unlabelled` those without a label.
    """

    dataset_id: str
    metric_id: str
    label: str
    n: int
    errors: int
    unlabelled: int
    observed: float | None
    kappa: float | None
    low: float | None
    high: float | None


class Labels:
    """Scores and labels of a run, collected shard by shard."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = dict(labels)
        self._pairs: defaultdict[
            tuple[str, str], Counter[tuple[str | None, str | None]]
        ] = defaultdict(Counter)

    def add(
        self, cases: pa.Table, results: pa.Table, metric_ids: Sequence[str]
    ) -> None:
        """Take the results of a shard: one row for each case and metric, cases in the
        order of `cases`.
        """
        if not self._labels:
            return
        metadata = [load_json(text) for text in cases["metadata"].to_pylist()]
        scores = results["score"].to_pylist()
        dataset_id = cases["dataset_id"][0].as_py()
        for metric_id, name in self._labels.items():
            of_metric = scores[metric_ids.index(metric_id) :: len(metric_ids)]
            labels = [_category(values.get(name)) for values in metadata]
            self._pairs[dataset_id, metric_id].update(
                zip(map(_category, of_metric), labels, strict=True)
            )

    def records(self) -> list[AgreementRecord]:
        """The agreement of each metric with its labels, on each dataset."""
        return [
            self._record(dataset_id, metric_id, counts)
            for (dataset_id, metric_id), counts in self._pairs.items()
        ]

    def _record(
        self,
        dataset_id: str,
        metric_id: str,
        counts: Counter[tuple[str | None, str | None]],
    ) -> AgreementRecord:
        both = {
            (score, label): count
            for (score, label), count in counts.items()
            if score and label
        }
        return AgreementRecord(
            dataset_id=dataset_id,
            metric_id=metric_id,
            label=self._labels[metric_id],
            errors=sum(
                count for (score, label), count in counts.items() if label and not score
            ),
            unlabelled=sum(count for (_, label), count in counts.items() if not label),
            **asdict(cohens_kappa(both)),
        )


def check_labels(
    labels: Mapping[str, str], shards: Sequence[Shard], store: RunStore
) -> None:
    """Refuse labels that no case has, or that no score can equal. Raises `ConfigError`."""
    if not labels:
        return
    known: set[str] = set()
    for shard in shards:
        for text in pc.unique(read(store, shard.cases)["metadata"]).to_pylist():
            metadata = load_json(text)
            known.update(metadata)
            for name in labels.values():
                _check_label(name, metadata.get(name))
    for metric_id, name in labels.items():
        if name not in known:
            hint = nearest(name, known) if known else "no case has any"
            raise ConfigError(
                f"evaluation.agreement.{metric_id}: no case has metadata {name!r}; {hint}"
            )


def _check_label(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, (bool, int, float)):
        raise ConfigError(
            f"evaluation.agreement: metadata {name!r} holds {value!r:.60}, which no score equals; label with numbers, "
            "or with true and false"
        )


def _category(value: Any) -> str | None:
    """A score or label as a text that equal numbers share; true is 1."""
    return None if value is None else canonical_json(float(value))
