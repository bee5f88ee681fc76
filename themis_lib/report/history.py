"""The runs of a store in the order in which they started: what changed from run to run,
and how scores went.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from themis_lib.comparison.sides import identity_differences
from themis_lib.errors import InputError, first_few, nearest
from themis_lib.runs.find_run import in_time
from themis_lib.runs.manifest import Manifest, RunStatus, manifests
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.summary import ALL_CASES
from themis_lib.storage.store import RunStore

_FACTORS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class PastRun:
    """A run, its scores over all cases of each dataset, and the settings that differ
    from the experiment's run before.

    `before` is null for an experiment's first run. A run without tables, or whose
    summary cannot be read, has no scores.
    """

    manifest: Manifest
    scores: tuple[SummaryRow, ...]
    before: str | None
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """A metric on one dataset over the runs of one experiment that have it, oldest
    first.
    """

    name: str
    metric_id: str
    dataset_id: str
    points: tuple[tuple[PastRun, SummaryRow], ...]


def past_runs(
    store: RunStore,
    *,
    name: str | None = None,
    status: RunStatus | None = None,
    since: datetime | None = None,
) -> list[PastRun]:
    """The runs of a store, oldest first; those of one experiment, of one status, or
    that started at a time or later.

    Raises `InputError` for an experiment that the store has no run of.
    """
    known = in_time(manifests(store))
    names = {manifest.name for manifest in known}
    if name is not None and name not in names:
        raise InputError(
            f"store {store.url!r} has no run of an experiment {name!r}; {nearest(name, names)}"
        )
    latest: dict[str, Manifest] = {}
    found = []
    for manifest in known:
        before = latest.get(manifest.name)
        latest[manifest.name] = manifest
        is_late = since is None or datetime.fromisoformat(
            manifest.started_at
        ) >= since.astimezone(UTC)
        if (
            name in (None, manifest.name)
            and status in (None, manifest.status)
            and is_late
        ):
            changes = identity_differences(before, manifest) if before else []
            found.append(
                PastRun(
                    manifest,
                    _scores_of_run(store, manifest),
                    before.run_id if before else None,
                    tuple(changes),
                )
            )
    return found


def unreadable_runs(store: RunStore) -> list[str]:
    """The folders of runs whose record is missing or cannot be read."""
    known = {manifest.run_id for manifest in manifests(store)}
    return sorted(
        name
        for name in store.list("runs")
        if name not in known and not name.startswith(".")
    )


def series_of(
    runs: Iterable[PastRun],
    metric_id: str,
) -> list[Series]:
    """How a metric went, a series for each dataset.

    Raises `InputError` for a metric that none of the runs has, and where runs of
    several experiments have it.
    """
    scored = list(runs)
    known = {row.metric_id for run in scored for row in run.scores}
    if metric_id not in known:
        raise InputError(
            f"none of {len(scored):,} run(s) has a metric {metric_id!r}; {nearest(metric_id, known)}"
        )
    points = [
        (run, row) for run in scored for row in run.scores if row.metric_id == metric_id
    ]
    names = list(dict.fromkeys(run.manifest.name for run, _ in points))
    if len(names) > 1:
        raise InputError(
            f"{len(names)} experiments have a metric {metric_id!r} ({first_few(names)}); give --name"
        )
    datasets = dict.fromkeys(row.dataset_id for _, row in points)
    return [
        Series(
            names[0],
            metric_id,
            dataset,
            tuple(point for point in points if point[1].dataset_id == dataset),
        )
        for dataset in datasets
    ]


def ticks_over(
    rows: Sequence[SummaryRow],
    *,
    most: int,
) -> list[float]:
    """Round numbers, at most so many, that enclose the means and intervals of some
    rows; two at least.
    """
    values = [
        value
        for row in rows
        for value in (row.mean, row.low, row.high)
        if value is not None
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    power = 10.0 ** math.floor(math.log10((high - low) / (most - 1)))
    for step in (
        factor * scale for scale in (power, 10 * power) for factor in _FACTORS
    ):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return [round(step * at, 12) + 0.0 for at in range(first, last + 1)]


def _scores_of_run(
    store: RunStore,
    manifest: Manifest,
) -> tuple[SummaryRow, ...]:
    try:
        rows = RunResult(store, manifest.run_id, manifest).summary
    except (pa.ArrowException, OSError):
        return ()
    return tuple(row for row in rows if row.slice == ALL_CASES)
