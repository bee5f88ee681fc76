"""A comparison's view of each run as a whole: size, cost, latency and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow.compute as pc

from themis_lib.comparison.models import RunSide
from themis_lib.explain.differences import (
    differences,
    own_identity,
    stage_differences,
)
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.results import RunResult
from themis_lib.stages.endings import Ending


def run_side(result: RunResult) -> RunSide:
    """Return the size, cost and latency of a run."""
    manifest = result.manifest
    input_counts = []
    output_counts = []
    for record in manifest.stages:
        # Only stages that call a model have usage; judges count too.
        if record.usage:
            input_counts.append(record.usage.input_tokens)
            output_counts.append(record.usage.output_tokens)
    endings: Counter[Ending] = Counter()
    for record in manifest.stages:
        endings.update(record.endings)
    latencies = result.table("outputs", columns=["latency_s"])["latency_s"]
    p50, p95 = pc.quantile(latencies, [0.5, 0.95]).to_pylist()
    return RunSide(
        run_id=result.run_id,
        name=manifest.name,
        status=result.status.value,
        location=result.location,
        started_at=manifest.started_at,
        cases=sum(manifest.datasets.values()),
        cost=manifest.cost,
        cost_paid=manifest.cost_paid,
        unpriced=manifest.unpriced,
        input_tokens=_sum_known(input_counts),
        output_tokens=_sum_known(output_counts),
        latency_mean_s=pc.mean(latencies).as_py(),
        latency_p50_s=p50,
        latency_p95_s=p95,
        endings=dict(endings),
    )


def _sum_known(counts: Iterable[int | None]) -> int | None:
    # Without a single count the sum is unknown: 0 would claim that no token was used.
    total = None
    for count in counts:
        if count is not None:
            total = (total or 0) + count
    return total


def identity_differences(
    before: Manifest,
    after: Manifest,
) -> list[str]:
    """Return a line for each setting that differs between two runs.

    Seeds come first, then the sizes and contents of datasets, then the identity of
    stages.
    """
    return [
        *differences(
            before.seeds,
            after.seeds,
            "seeds",
        ),
        *differences(
            before.datasets,
            after.datasets,
            "datasets",
        ),
        *_changed_data(before, after),
        *differences(
            _stage_identities(before),
            _stage_identities(after),
        ),
        *_changed_dependencies(before, after),
    ]


def _changed_data(
    before: Manifest,
    after: Manifest,
) -> list[str]:
    """Return a line for each dataset whose cases differ, if both records tell."""
    known = before.data.keys() & after.data.keys()
    return differences(
        {name: before.data[name] for name in known},
        {name: after.data[name] for name in known},
        "data",
    )


def _stage_identities(manifest: Manifest) -> dict[str, Any]:
    # Keyed by stage, so that an inserted stage does not shift the others.
    return {record.stage: own_identity(record.identity) for record in manifest.stages}


def _changed_dependencies(
    before: Manifest,
    after: Manifest,
) -> Iterator[str]:
    """Yield a line for each file and variable that differs where no setting does."""
    for record in after.stages:
        other = before.stage(record.stage)
        if other is None or other.fingerprint == record.fingerprint:
            continue
        if own_identity(other.identity) == own_identity(record.identity):
            yield from stage_differences(
                other.identity,
                record.identity,
                dependencies=(other.dependencies, record.dependencies),
            )
