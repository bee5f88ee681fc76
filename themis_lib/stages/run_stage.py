"""Computes the rows of a shard that no one has computed before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.errors import ShardError
from themis_lib.identity.part import Part
from themis_lib.stages.collector import Collector
from themis_lib.stages.progress import Progress
from themis_lib.stages.stage import Stage
from themis_lib.storage.journal import Journal
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, empty_rows

_FLUSH_S = 1.0


async def run_stage(
    stage: Stage, shard: Shard, store: RunStore, *, run_id: str, progress: Progress
) -> Part:
    """Compute what is missing of a shard and return the reference to its table, one row
    for each input row.

    Raises `ShardError` when rows failed that might succeed if tried again; its `part`
    holds every row, and those that succeeded are saved. Raises `FatalError` when no
    other row could succeed either.
    """
    row_set = stage.row_set(store)
    name = stage.shard_name(shard)
    done = row_set.shard(name)
    if done is not None:
        return replace(done, cached=done.rows)
    rows = stage.rows(shard, store)
    keys = stage.keys(rows)
    known, known_rows = row_set.find(keys)
    missing = _first_of_each(keys, known)
    journal = row_set.journal(interval_s=stage.journal_interval_s)
    collector = Collector(
        stage, journal, keys.take(missing), rows["case_id"].take(missing), progress
    )
    try:
        if len(missing):
            async with _flushing(collector.journal):
                await stage.compute(rows.take(missing), run_id, collector.emit)
        table = _assemble(stage, rows, keys, known_rows, collector)
        if collector.failures:
            path = f"runs/{run_id}/incomplete/{stage.name}-{name}.parquet"
            part = collector.counted(store.replace_part(path, table), cached=len(known))
            raise ShardError(
                collector.summary(shard), part=part, transient=collector.transient
            )
        part = row_set.publish(name, table)
    except BaseException:
        collector.journal.close()  # what succeeded is there for the next try
        raise
    collector.journal.discard()
    return collector.counted(part, cached=len(known))


@contextlib.asynccontextmanager
async def _flushing(journal: Journal) -> AsyncIterator[None]:
    """Make finished rows safe in time, also while nothing else finishes."""

    async def flush_regularly() -> None:
        while True:
            await asyncio.sleep(max(journal.interval_s, _FLUSH_S))
            journal.flush()

    flushing = asyncio.ensure_future(flush_regularly())
    try:
        yield
    finally:
        flushing.cancel()
        await asyncio.gather(
            flushing, return_exceptions=True
        )  # rows it could not save, the journal still has


def _first_of_each(keys: pa.Array, known: np.ndarray[Any, Any]) -> pa.Array:
    """The positions of the rows to compute: not known, not without a key, and each key
    once.
    """
    unknown = np.ones(len(keys), dtype=bool)
    unknown[known] = False
    first: dict[bytes, int] = {}
    for position, key in zip(
        np.flatnonzero(unknown).tolist(),
        keys.filter(pa.array(unknown)).to_pylist(),
        strict=True,
    ):
        if key is not None:
            first.setdefault(key, position)
    return pa.array(list(first.values()), pa.int64())


def _assemble(
    stage: Stage, rows: pa.Table, keys: pa.Array, known: pa.Table, collector: Collector
) -> pa.Table:
    """The table of a shard in the order of its input rows."""
    found = pa.concat_tables([known, collector.table()])
    at = {key: position for position, key in enumerate(found["key"].to_pylist())}
    upstream = rows["error"].combine_chunks()
    blanks = empty_rows(stage.schema, upstream.filter(upstream.is_valid())).add_column(
        0, KEY, pa.nulls(len(upstream) - upstream.null_count, KEY.type)
    )
    blank = found.num_rows
    order = []
    for key in keys.to_pylist():
        if key is None:
            order.append(blank)
            blank += 1
        else:
            order.append(at[key])
    return (
        pa.concat_tables([found, blanks])
        .take(pa.array(order, pa.int64()))
        .combine_chunks()
    )
