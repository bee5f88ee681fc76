"""A job that measures what cases, rows and shards cost; see `benchmarks.jobs`."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

_UNKNOWN_KEYS = 1_000


def constants(
    *,
    data: str,
    store: str,
    cases: int,
) -> dict[str, float]:
    """Evaluate cases in this process, and look into the store.

    Seconds are of processor. `case_` and `shard_` are what one of them costs, `key_` one
    row of a stage where a worker looks up keys among all rows.
    """
    import os

    import pyarrow as pa
    import pyarrow.parquet as pq

    from benchmarks.jobs import EXPERIMENT
    from themis_lib import Experiment
    from themis_lib.storage.rows import RowSet

    overrides = [f"datasets.0.path={data}", f"storage.store={store}"]

    def experiment() -> Experiment:
        return Experiment.from_config(EXPERIMENT, overrides=overrides, limit=cases)

    opened = experiment()
    pipeline = opened.compile()
    began = time.process_time()
    shards = list(pipeline.shards(opened.open_store()))
    cut_s = time.process_time() - began
    experiment().run()
    began = time.process_time()
    cached = experiment().run()
    cached_s = time.process_time() - began
    assert not any(stage.computed for stage in cached.manifest.stages)

    rows = Path(store, "rows")
    (generated,) = (rows / "generate").iterdir()
    files = list(generated.glob("*.parquet"))
    key_bytes = 0
    for file in files:
        metadata = pq.read_metadata(file)
        at = metadata.schema.names.index("key")
        for group in range(metadata.num_row_groups):
            key_bytes += metadata.row_group(group).column(at).total_compressed_size
    unknown = [os.urandom(16) for _ in range(_UNKNOWN_KEYS)]
    row_set = RowSet(
        opened.open_store(), str(generated.relative_to(store)), pa.schema([])
    )
    row_set.refresh()
    began = time.process_time()
    row_set.find(pa.array(unknown, pa.binary(16)))
    find_s = time.process_time() - began
    held = RowSet(opened.open_store(), row_set.directory, pa.schema([]))
    held.refresh()
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    held.find(pa.array(unknown, pa.binary(16)))
    index_bytes, _ = tracemalloc.get_traced_memory()
    # Keys that were not sorted yet are in Arrow's memory.
    index_bytes += pa.total_allocated_bytes() - before
    tracemalloc.stop()

    run_folder = Path(store, "runs", cached.run_id)
    stored = sum(file.stat().st_size for file in rows.rglob("*.parquet"))
    records = [*run_folder.iterdir(), *rows.glob("cases/*.json")]
    return {
        "shards": len(shards),
        "case_cut_s": cut_s / cases,
        "case_cached_s": cached_s / cases,
        "case_stored_bytes": stored / cases,
        "key_read_bytes": key_bytes / cases,
        "key_find_s": find_s / cases,
        "key_index_bytes": index_bytes / cases,
        "record_bytes": sum(file.stat().st_size for file in records),
    }
