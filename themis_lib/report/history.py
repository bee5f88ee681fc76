"""The history of a store: its runs in order, what changed, and how scores went."""

from __future__ import annotations

import math
from collections.abc import (
    Iterable,
    Sequence,
)
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from themis_lib.comparison.sides import identity_differences
from themis_lib.errors import (
    InputError,
    nearest,
)
from themis_lib.runs.manifest import (
    Manifest,
    RunStatus,
    manifests,
)
from themis_lib.runs.results import (
    RunResult,
    SummaryRow,
)
from themis_lib.runs.summary import ALL_CASES
from themis_lib.storage.store import RunStore

# Steps between round numbers, times a power of ten.
_FACTORS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class PastRun:
    """A run, its scores over all cases of each dataset, and its changed settings.

    `changes` are the settings that differ from the run of the same experiment before
    it, whose id is `before`; `None` for an experiment's first run. A run without
    tables, or whose summary cannot be read, has no scores.
    """

    manifest: Manifest
    scores: tuple[SummaryRow, ...]
    before: str | None
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """A metric on one dataset over the runs of an experiment that have it.

    `points` are oldest first.
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
    """Return the runs of a store, oldest first.

    `name`, `status` and `since` choose the runs of one experiment, of one status, or
    those that started at a time or later. Raises `InputError` for an experiment that
    the store has no run of.
    """
    known = manifests(store)
    names = {manifest.name for manifest in known}
    if name is not None and name not in names:
        raise InputError(
            f"store {store.public_url!r} has no run of an experiment {name!r}; "
            f"{nearest(name, names)}"
        )
    latest: dict[str, Manifest] = {}
    found = []
    for manifest in known:
        # Runs that are not chosen count here too: `before` is the run before in time.
        before = latest.get(manifest.name)
        latest[manifest.name] = manifest
        if name not in (None, manifest.name) or status not in (None, manifest.status):
            continue
        if since is not None:
            started_at = datetime.fromisoformat(manifest.started_at)
            if started_at < since.astimezone(UTC):
                continue
        changes = []
        if before is not None:
            changes = identity_differences(before, manifest)
        past = PastRun(
            manifest=manifest,
            scores=_overall_scores(store, manifest),
            before=None if before is None else before.run_id,
            changes=tuple(changes),
        )
        found.append(past)
    return found


def _overall_scores(
    store: RunStore,
    manifest: Manifest,
) -> tuple[SummaryRow, ...]:
    # One damaged run must not hide the history of all others.
    try:
        rows = RunResult(
            store,
            manifest.run_id,
            manifest,
        ).summary
    except (pa.ArrowException, OSError):
        return ()
    overall = []
    for row in rows:
        if row.slice == ALL_CASES:
            overall.append(row)
    return tuple(overall)


def unreadable_runs(store: RunStore) -> list[str]:
    """Return the folders of runs whose record is missing or cannot be read."""
    known = {manifest.run_id for manifest in manifests(store)}
    folders = []
    for name in store.list("runs"):
        # A name that begins with a dot is no run's.
        if name not in known and not name.startswith("."):
            folders.append(name)
    return sorted(folders)


def series_of(
    runs: Iterable[PastRun],
    metric_id: str,
) -> list[Series]:
    """Return a metric over the runs, a series for each experiment and dataset.

    Raises `InputError` for a metric that none of the runs has.
    """
    every_run = list(runs)
    known: set[str] = set()
    # Experiments may mean different things by one name.
    points: dict[tuple[str, str], list[tuple[PastRun, SummaryRow]]] = {}
    for run in every_run:
        for row in run.scores:
            known.add(row.metric_id)
            if row.metric_id == metric_id:
                place = run.manifest.name, row.dataset_id
                points.setdefault(place, []).append((run, row))
    if not points:
        raise InputError(
            f"none of {len(every_run):,} run(s) has a metric {metric_id!r}; "
            f"{nearest(metric_id, known)}"
        )
    found = []
    for (name, dataset_id), of_dataset in points.items():
        series = Series(
            name=name,
            metric_id=metric_id,
            dataset_id=dataset_id,
            points=tuple(of_dataset),
        )
        found.append(series)
    return found


def ticks_over(
    rows: Sequence[SummaryRow],
    *,
    most: int,
) -> list[float]:
    """Return round numbers that enclose the means and intervals of some rows.

    They are at least two and at most `most`, in equal steps.
    """
    values = []
    for row in rows:
        for value in (row.mean, row.low, row.high):
            if value is not None:
                values.append(value)
    low = min(values, default=0.0)
    high = max(values, default=1.0)
    # Equal values still need an axis of some length.
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    power = 10.0 ** math.floor(math.log10((high - low) / (most - 1)))
    steps = []
    # The ends may need one tick more than their distance: then the next power fits.
    for scale in (power, 10 * power):
        for factor in _FACTORS:
            steps.append(factor * scale)
    for step in steps:
        # 1e-9: an end that is a tick but for rounding needs no further tick.
        first = math.floor(low / step + 1e-9)
        last = math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    # Adding 0.0 turns -0.0 into 0.0, which is shown without a sign.
    return [round(step * at, 12) + 0.0 for at in range(first, last + 1)]
