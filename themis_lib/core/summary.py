"""The summary: one row for each dataset, slice and metric, with the errors counted beside the mean.

Its rows are cached like any stage's, under the digest of the scores they summarise in sorted order, so that the
order of the cases does not matter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.identity import KEY_BYTES, bytes_digest, digest, load_json
from themis_lib.core.metadata import metadata_text
from themis_lib.core.shards import read
from themis_lib.core.stage import Shard
from themis_lib.core.store import RunStore
from themis_lib.core.tables import KEY, SUMMARY, table_of
from themis_lib.errors import ConfigError, nearest
from themis_lib.stats.intervals import mean_interval

_STATISTICS = [item for item in SUMMARY if item.name not in ("dataset_id", "slice", "metric_id")]
_SCHEMA = pa.schema(_STATISTICS)
_FINGERPRINT = digest("stage/summary", {"version": "1"})
ALL_CASES = "all"

Group = tuple[str, str, str]


class Scores:
    """Scores of a run, collected shard by shard and grouped by dataset, slice and metric."""

    def __init__(self, slices: Sequence[str]) -> None:
        self._slices = tuple(slices)
        self._scores: defaultdict[Group, list[npt.NDArray[np.float64]]] = defaultdict(list)

    def add(self, cases: pa.Table, results: pa.Table, metric_ids: Sequence[str]) -> None:
        """Take the results of a shard: one row for each case and metric, cases in the order of `cases`."""
        scores = results["score"].to_numpy().reshape(cases.num_rows, len(metric_ids))
        dataset_id = cases["dataset_id"][0].as_py()
        for name, members in self._members(cases):
            for column, metric_id in enumerate(metric_ids):
                self._scores[dataset_id, name, metric_id].append(scores[members, column])

    def groups(self) -> dict[Group, npt.NDArray[np.float64]]:
        """The scores of each group, NaN for a case without one; slices stand behind their dataset's whole."""
        order = {group: number for number, group in enumerate(self._scores)}
        first_of: dict[tuple[str, str], int] = {}
        for group, number in order.items():
            first_of.setdefault((group[0], group[2]), number)
        ordered = sorted(order, key=lambda group: (first_of[group[0], group[2]], group[1] != ALL_CASES, group[1]))
        return {group: np.concatenate(self._scores[group]) for group in ordered}

    def _members(self, cases: pa.Table) -> list[tuple[str, Any]]:
        members: list[tuple[str, Any]] = [(ALL_CASES, slice(None))]
        if self._slices:
            metadata = [load_json(text) for text in cases["metadata"].to_pylist()]
            for name in self._slices:
                by_value: defaultdict[str, list[int]] = defaultdict(list)
                for row, values in enumerate(metadata):
                    by_value[f"{name}={metadata_text(values.get(name))}"].append(row)
                members.extend(by_value.items())
        return members


def check_slices(slices: Sequence[str], shards: Sequence[Shard], store: RunStore) -> None:
    """Refuse a slice over a metadata column that no case has. Raises `ConfigError`."""
    missing = set(slices)
    known: set[str] = set()
    for shard in shards:
        if not missing:
            return
        for text in pc.unique(read(store, shard.cases)["metadata"]).to_pylist():
            known.update(load_json(text))
        missing -= known
    if missing:
        name = min(missing)
        hint = nearest(name, known) if known else "no case has any"
        raise ConfigError(f"evaluation.slices: no case has metadata {name!r}; {hint}")


def summarise(groups: Mapping[Group, npt.NDArray[np.float64]], store: RunStore) -> tuple[pa.Table, int]:
    """The summary table, and how many of its rows had to be computed."""
    row_set = store.rows("summary", _FINGERPRINT, _SCHEMA)
    row_set.refresh()
    ordered = {group: np.sort(scores) for group, scores in groups.items()}
    keys = [_key(scores) for scores in ordered.values()]
    known = set(row_set.find(pa.array(keys, KEY.type))[0].tolist())
    missing = {key: position for position, key in enumerate(keys) if position not in known}
    arrays = list(ordered.values())
    computed = [{"key": key, **_statistics(arrays[position])} for key, position in missing.items()]
    if computed:
        row_set.save(table_of(computed, row_set.schema))
    _, rows = row_set.find(pa.array(keys, KEY.type))
    ids = pa.table(
        {name: pa.array([group[at] for group in ordered], pa.string()) for at, name in enumerate(SUMMARY.names[:3])}
    )
    for item in _STATISTICS:
        ids = ids.append_column(item, rows[item.name])
    return ids.cast(SUMMARY), len(computed)


def _key(scores: npt.NDArray[np.float64]) -> bytes:
    content = bytes_digest("scores", scores.astype("<f8").tobytes())
    return bytes.fromhex(digest("summary", [_FINGERPRINT, content]))[:KEY_BYTES]


def _statistics(scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    present = scores[~np.isnan(scores)]
    interval = mean_interval(present)
    return {
        "n": len(present),
        "errors": len(scores) - len(present),
        "mean": _number(interval.mean),
        "standard_error": _number(interval.standard_error),
        "low": _number(interval.low),
        "high": _number(interval.high),
        "interval_method": interval.method,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
