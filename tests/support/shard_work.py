"""What a task is given to generate one shard in a process that does not have the run."""

from __future__ import annotations

from typing import Any

from themis_lib import Experiment, RunStore
from themis_lib.runs.pipeline import Pipeline
from themis_lib.storage.shard import Shard


def generate_work(
    run_id: str,
    experiment: Experiment,
    pipeline: Pipeline,
    store: RunStore,
    shard: Shard,
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "experiment": experiment.portable_json(),
        "store": store.url,
        "stage": "generate",
        "fingerprint": pipeline.generate.fingerprint,
        "depends_on": {},
        "shard": shard.to_json(),
        "shard_name": pipeline.generate.shard_name(shard, store),
    }
