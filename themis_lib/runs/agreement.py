"""How far metrics agree with people: scores against labels in the cases' metadata."""

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

#: How often each pair of a score and a label occurs, `None` where either is missing.
PairCounts = Counter[tuple[str | None, str | None]]


class AgreementRecord(FrozenModel):
    """One metric against one column of labels on one dataset.

    `n` counts the cases with both, `errors` those with a label and no score,
    `unlabelled` those without a label. See `stats.agreement.Agreement`.
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
    """Scores and labels of a run, collected shard by shard.

    `labels` maps metrics to the metadata columns that hold people's labels.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = dict(labels)
        self._pairs: defaultdict[tuple[str, str], PairCounts] = defaultdict(Counter)

    def add(
        self,
        cases: pa.Table,
        results: pa.Table,
        metric_ids: Sequence[str],
    ) -> None:
        """Take the results of a shard.

        One row for each case and metric, cases in the order of `cases`.
        """
        if not self._labels:
            return
        metadata = [load_json(text) for text in cases["metadata"].to_pylist()]
        scores = results["score"].to_pylist()
        # A shard has cases of one dataset, and at least one.
        dataset_id = cases["dataset_id"][0].as_py()
        for metric_id, name in self._labels.items():
            # The metrics of a case are next to each other.
            of_metric = scores[metric_ids.index(metric_id) :: len(metric_ids)]
            for score, values in zip(of_metric, metadata, strict=True):
                pair = _as_category(score), _as_category(values.get(name))
                self._pairs[dataset_id, metric_id][pair] += 1

    def records(self) -> list[AgreementRecord]:
        """Return the agreement of each metric with its labels, on each dataset."""
        records = []
        for (dataset_id, metric_id), counts in self._pairs.items():
            both: dict[tuple[str, str], int] = {}
            errors = unlabelled = 0
            for (score, label), count in counts.items():
                # Without a label there is nothing to agree with, scored or not.
                if label is None:
                    unlabelled += count
                elif score is None:
                    errors += count
                else:
                    both[score, label] = count
            record = AgreementRecord(
                dataset_id=dataset_id,
                metric_id=metric_id,
                label=self._labels[metric_id],
                errors=errors,
                unlabelled=unlabelled,
                **asdict(cohens_kappa(both)),
            )
            records.append(record)
        return records


def check_labels(
    labels: Mapping[str, str],
    shards: Sequence[Shard],
    store: RunStore,
) -> None:
    """Raise `ConfigError` for labels that no case has, or that no score can equal."""
    if not labels:
        return
    known: set[str] = set()
    for shard in shards:
        # Many cases share their metadata: each different text is parsed once.
        texts = pc.unique(read(store, shard.cases)["metadata"])
        for text in texts.to_pylist():
            metadata = load_json(text)
            known.update(metadata)
            for name in labels.values():
                value = metadata.get(name)
                if value is None or isinstance(value, (bool, int, float)):
                    continue
                raise ConfigError(
                    f"evaluation.agreement: metadata {name!r} holds {value!r:.60}, which "
                    "no score equals; label with numbers, or with true and false"
                )
    for metric_id, name in labels.items():
        if name not in known:
            hint = nearest(name, known) if known else "no case has any"
            raise ConfigError(
                f"evaluation.agreement.{metric_id}: no case has metadata {name!r}; "
                f"{hint}"
            )


def _as_category(value: Any) -> str | None:
    """Return a score or label as a text that equal numbers share; true is 1."""
    return None if value is None else canonical_json(float(value))
