"""Runs as earlier versions wrote them: with a file of their own for each table."""

from __future__ import annotations

from themis_lib import RunResult
from themis_lib.runs.manifest import write_manifest
from themis_lib.runs.run_parts import parts_path
from themis_lib.storage.part_files import parquet_bytes
from themis_lib.storage.tables import RUN_TABLES


def with_table_files(run: RunResult) -> RunResult:
    """The run, its tables in files and no record of parts."""
    for name in RUN_TABLES:
        table = run.table(name)
        if table.num_rows:
            path = f"runs/{run.run_id}/{name}.parquet"
            run.store.replace(path, parquet_bytes(table))
    run.store.remove(parts_path(run.run_id))
    manifest = run.manifest.model_copy(update={"tables": "files"})
    write_manifest(run.store, manifest)
    run.store.hold({})
    return RunResult(run.store, run.run_id, manifest)
