"""The tables of a run as plain Parquet files, for programs that know nothing of a store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from themis_lib.errors import ConfigError, StoreError
from themis_lib.runs.inventory import has_tables
from themis_lib.runs.results import RunResult
from themis_lib.runs.run_tables import RunTable
from themis_lib.storage.local_files import room_error
from themis_lib.storage.part_files import dictionary_columns
from themis_lib.storage.tables import RUN_TABLES


def export_tables(
    run: RunResult,
    folder: Path,
) -> list[Path]:
    """Write each table of a run to `<folder>/<name>.parquet`, and return the files.

    Their columns are those of `RUN_TABLES`; a table that the run does not have is left
    out. One shard is in memory at a time. Files of these names are replaced, each by a
    whole one, and removed where the run has no such table. Raise `ConfigError` for a
    folder or file that cannot be written, `StoreError` for a run without tables or with
    parts that are gone, `DiskFullError` if need be.
    """
    if not has_tables(run.manifest):
        reason = run.manifest.error or f"it is {run.status.value}"
        raise StoreError(
            f"run {run.run_id!r} has no tables: {reason}; export a run that came to its end"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{str(folder)!r} is no folder to write to: {error.strerror}"
        ) from None
    written = []
    for name in RUN_TABLES:
        path = folder / f"{name}.parquet"
        table = run.open_table(name)
        if table is None:
            # Of another run, it would be taken for a table of this one.
            with _written(path):
                path.unlink(missing_ok=True)
            continue
        with contextlib.closing(table):
            _write_table(table, path)
        written.append(path)
    return written


def _write_table(
    table: RunTable,
    path: Path,
) -> None:
    schema = RUN_TABLES[table.name]
    # Beside the file whose name it gets once it is whole; no pattern for tables fits it.
    unfinished = path.with_name(f".{path.name}.tmp")
    size = 0
    try:
        with _written(path):
            writer = pq.ParquetWriter(
                unfinished,
                schema,
                compression="zstd",
                use_dictionary=dictionary_columns(schema.names),
            )
        with contextlib.closing(writer):
            for group in range(len(table.group_sizes)):
                rows = table.read_groups([group])
                size += rows.nbytes
                with _written(path, size):
                    # Parquet refuses row groups of no rows.
                    writer.write_table(rows, max(rows.num_rows, 1))
            with _written(path, size):
                # Here, since it adds the footer; the second time is a no-op.
                writer.close()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _written(
    path: Path,
    size: int = 0,
) -> Iterator[None]:
    """Say which file cannot be written, and why."""
    try:
        yield
    except OSError as error:
        said = room_error(error, path, size)
        if said is not error:
            raise said from None
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror or error}"
        ) from None
