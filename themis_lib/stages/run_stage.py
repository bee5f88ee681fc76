"""Computes the rows of a shard that nobody has computed before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import DiskFullError, ShardError
from themis_lib.finishing import finish_first
from themis_lib.identity.digests import digest
from themis_lib.identity.part import Part
from themis_lib.stages.calls import chunks
from themis_lib.stages.collector import Collector
from themis_lib.stages.dependencies import Dependencies
from themis_lib.stages.progress import Progress
from themis_lib.stages.shared_work import ROWS_AT_ONCE, SharedWork
from themis_lib.stages.stage import Stage
from themis_lib.storage.journal import Journal
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, empty_rows

#: How often a journal is flushed at most while no other row finishes.
_FLUSH_S = 1.0


async def run_stage(
    stage: Stage,
    shard: Shard,
    store: RunStore,
    *,
    run_id: str,
    progress: Progress,
) -> Part:
    """Compute what is missing of a shard and return the reference to its table.

    The table has one row for each input row, in their order. Raise `ShardError` if rows
    failed that might succeed if tried again: its `part` holds every row, and those that
    succeeded are saved. Raise `FatalError` if no other row could succeed either.
    """
    row_set = stage.row_set(store)
    name = stage.shard_name(shard, store)
    complete = row_set.shard(name)
    # The name covers everything that the shard's rows depend on.
    if complete is not None:
        return replace(complete, cached=complete.rows)
    rows = stage.rows(shard, store)
    keys = _keys_of(stage, rows)
    # Other shards, interrupted runs and other people may have computed some of them.
    known, known_rows = row_set.find(keys)
    missing = _positions_to_compute(stage, rows, keys, known)
    dependencies = Dependencies(stage, store, is_computing=len(missing) > 0)
    collector = Collector(
        stage,
        dependencies,
        row_set.journal(interval_s=stage.journal_interval_s),
        keys.take(missing),
        rows["case_id"].take(missing),
        progress,
    )
    # Of the other rows no more than this: their inputs may be long.
    upstream = rows["error"].combine_chunks()
    rows = rows.take(missing)
    try:
        if len(missing):
            async with _flush_regularly(collector.journal):
                with dependencies.watched():
                    async with stage.opened(store, progress) as opened:
                        work = SharedWork(opened, row_set, collector, progress)
                        of_others = await work.compute(
                            rows, run_id, shard_index=shard.index
                        )
            known_rows = pa.concat_tables([known_rows, *of_others])
        table = _assemble_table(stage, upstream, keys, known_rows, collector)
        if collector.failures:
            # Failures belong to this run alone: its folder, not the cache, has them.
            written = store.replace_part(_incomplete_path(stage, shard, run_id), table)
            part = collector.counted(written, cached=known_rows.num_rows)
            message = collector.summary(shard)
            raise ShardError(
                message,
                part=part,
                transient=collector.transient,
                waiting=collector.waiting,
            )
        part = row_set.publish(name, table, known=known)
    except BaseException:
        # Also on Ctrl-C: what succeeded is there for the next try. The first error is
        # the one to tell, not that a full disk cannot take the last rows.
        with contextlib.suppress(DiskFullError, OSError):
            finish_first(collector.journal.close)
        raise
    # The shard is published, and has all rows of the journal.
    collector.journal.discard()
    return collector.counted(part, cached=known_rows.num_rows)


def _incomplete_path(
    stage: Stage,
    shard: Shard,
    run_id: str,
) -> str:
    """Return where a run has a shard with rows that failed: each shard its own.

    What is tried again may fail in another way in a shard of the same content.
    """
    name = digest("incomplete", [stage.label, shard.index])
    return f"runs/{run_id}/incomplete/{stage.name}-{name}.parquet"


def _keys_of(
    stage: Stage,
    rows: pa.Table,
) -> pa.Array:
    """Return the key of each row, made of a few rows at a time; see `ROWS_AT_ONCE`."""
    keys = [pa.array([], KEY.type)]
    for positions in chunks(rows.num_rows, ROWS_AT_ONCE):
        keys.append(stage.keys(rows.slice(positions.start, len(positions))))
    return pa.concat_arrays(keys)


@contextlib.asynccontextmanager
async def _flush_regularly(journal: Journal) -> AsyncIterator[None]:
    """Make finished rows safe in time, also while no other row finishes."""

    async def flush() -> None:
        while True:
            await asyncio.sleep(max(journal.interval_s, _FLUSH_S))
            journal.flush()

    flushing = asyncio.ensure_future(flush())
    try:
        yield
    finally:
        flushing.cancel()
        # Its errors are no loss: rows it could not save are still in the journal.
        await asyncio.gather(flushing, return_exceptions=True)


def _positions_to_compute(
    stage: Stage,
    rows: pa.Table,
    keys: pa.Array,
    known: np.ndarray[Any, Any],
) -> pa.Array:
    """Return the positions of the missing rows in the order to compute them."""
    missing = _missing_positions(keys, known)
    order = stage.sending_order(rows.take(missing))
    return missing.take(pa.array(order, pa.int64()))


def _missing_positions(
    keys: pa.Array,
    known: np.ndarray[Any, Any],
) -> pa.Array:
    """Return the positions of the rows to compute.

    These have a key that is not known. Each key is computed once, at its first row.
    """
    is_unknown = np.ones(len(keys), dtype=bool)
    is_unknown[known] = False
    positions = np.flatnonzero(is_unknown).tolist()
    unknown_keys = keys.filter(pa.array(is_unknown)).to_pylist()
    first: dict[bytes, int] = {}
    for position, key in zip(positions, unknown_keys, strict=True):
        if key is not None:
            first.setdefault(key, position)
    return pa.array(list(first.values()), pa.int64())


def _assemble_table(
    stage: Stage,
    upstream: pa.Array,
    keys: pa.Array,
    known: pa.Table,
    collector: Collector,
) -> pa.Table:
    """Return the table of a shard in the order of its input rows.

    A row without a key is empty but for the error of the earlier stage, in `upstream`.
    """
    found = pa.concat_tables([known, collector.take_table()])
    errors = upstream.filter(upstream.is_valid())
    null_keys = pa.nulls(len(errors), KEY.type)
    empty = empty_rows(stage.schema, errors).add_column(0, KEY, null_keys)
    order = pc.index_in(keys, found["key"])
    behind = np.arange(found.num_rows, found.num_rows + len(errors), dtype=np.int32)
    order = pc.replace_with_mask(order, keys.is_null(), pa.array(behind))
    assert not order.null_count, "each key has a row"
    every_row = pa.concat_tables([found, empty])
    schema = every_row.schema
    columns = every_row.columns
    del found, every_row
    # Column by column: taken as a whole, the rows would be in memory twice.
    taken = []
    while columns:
        taken.append(columns.pop(0).take(order))
    table = pa.table(taken, schema=schema).combine_chunks()
    # Else Arrow keeps the space of the rows as they were before.
    pa.default_memory_pool().release_unused()
    return table
