"""What a comparison says of each run as a whole: its size, cost and latency, and the
settings that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from themis_lib.comparison.models import RunSide
from themis_lib.explain.plan import differences
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.results import RunResult


def run_side(result: RunResult) -> RunSide:
    """One of the runs compared: its size, cost and latency."""
    usage = [record.usage for record in result.manifest.stages if record.usage]
    latencies = result.table("outputs", columns=["latency_s"])["latency_s"]
    p50, p95 = pc.quantile(latencies, [0.5, 0.95]).to_pylist()
    return RunSide(
        run_id=result.run_id,
        name=result.manifest.name,
        status=result.status.value,
        location=result.location,
        started_at=result.manifest.started_at,
        cases=sum(result.manifest.datasets.values()),
        cost=result.manifest.cost,
        cost_paid=result.manifest.cost_paid,
        unpriced=result.manifest.unpriced,
        input_tokens=_sum_known([item.input_tokens for item in usage]),
        output_tokens=_sum_known([item.output_tokens for item in usage]),
        latency_mean_s=pc.mean(latencies).as_py(),
        latency_p50_s=p50,
        latency_p95_s=p95,
    )


def _sum_known(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def identity_differences(
    before: Manifest,
    after: Manifest,
) -> list[str]:
    """The settings that differ between two runs, a line each: seeds, sizes of datasets,
    and the identity of stages.
    """
    return [
        *differences(before.seeds, after.seeds, "seeds"),
        *differences(before.datasets, after.datasets, "datasets"),
        *differences(_stage_identities(before), _stage_identities(after)),
    ]


def _stage_identities(manifest: Manifest) -> dict[str, Any]:
    return {record.stage: record.identity for record in manifest.stages}
