"""A stage's rows computed again, in a store of their own that is thrown away.

"A run on a warm store gives the same tables as a run on an empty one": the rows to
compute are left out of a copy of the store, and the stage runs over it as in any run.
So nothing that is computed here is ever found by a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.data.cut import keep_cases
from themis_lib.errors import ConfigError, FatalError, ShardError
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import Pipeline, with_part
from themis_lib.stages.progress import Progress
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.score import ScoreStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.contents import content_path, digests_in
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import InMemoryRunStore, RunStore
from themis_lib.verification.stored_run import CaseBatch, Positions


@dataclass(frozen=True)
class Computed:
    """The rows of a stage as it made them now, with their keys, in the cases' order.

    A row that `has_failed` may come out the next time.
    """

    table: pa.Table
    has_failed: npt.NDArray[np.bool_]


@contextlib.contextmanager
def empty_copy(
    batch: CaseBatch,
    stage: Stage,
) -> Iterator[tuple[InMemoryRunStore, Shard]]:
    """Open a store with nothing but what a stage reads of some cases, and their shard."""
    store = InMemoryRunStore()
    try:
        yield store, _lay_out(batch, stage, store)
    finally:
        with contextlib.suppress(FileNotFoundError):
            store.fs.rm(store.root, recursive=True)


def _lay_out(
    batch: CaseBatch,
    stage: Stage,
    store: RunStore,
) -> Shard:
    source = batch.stored.run.store
    for sha256 in digests_in(batch.cases["input"].to_pylist()):
        # A file that is gone is told by the stage, as in any run.
        with contextlib.suppress(FileNotFoundError):
            path = content_path(sha256)
            store.create(path, source.read_bytes(path))
    names = batch.cases["dataset_id"].unique().to_pylist()
    shard = Shard(
        index=0,
        start=0,
        dataset_id=", ".join(names),
        cases=keep_cases(store, batch.cases),
        # They name the shard's tables alone.
        has_lists=True,
        has_parts=True,
    )
    for earlier in stages_read(batch.stored.pipeline, stage):
        shard = with_part(shard, earlier, _put(store, earlier, batch))
    return shard


def stages_read(
    pipeline: Pipeline,
    stage: Stage,
) -> list[Stage]:
    """Return the stages whose tables a stage reads, in order."""
    if stage is pipeline.generate:
        return []
    if stage is pipeline.parse:
        return [pipeline.generate]
    read: list[Stage] = [pipeline.generate, pipeline.parse]
    if isinstance(stage, ScoreStage):
        read += [judge for judge in pipeline.judges if judge.label in stage.judges]
    if stage is pipeline.reduce:
        read += pipeline.scores
    return read


def _put(
    store: RunStore,
    stage: Stage,
    batch: CaseBatch,
) -> Part:
    # Not below `rows/`, where the stage itself would find it.
    path = f"read/{stage.label}.parquet"
    return store.create_part(path, batch.rows(stage).table)


async def compute_again(
    batch: CaseBatch,
    stage: Stage,
    chosen: Positions,
) -> Computed:
    """Compute some rows of a batch once more, by their positions in it.

    The others are taken from the store. Raise `ConfigError` if the stage cannot compute
    anything here.
    """
    with empty_copy(batch, stage) as (store, shard):
        table = batch.rows(stage).table
        keys = table["key"].combine_chunks()
        is_forgotten = pc.is_in(keys, value_set=keys.take(pa.array(chosen)))
        known = table.filter(pc.and_(keys.is_valid(), pc.invert(is_forgotten)))
        if known.num_rows:
            stage.row_set(store).save(_first_of_each(known))
        part, has_failed = await run_in(store, stage, shard, batch.stored.run.run_id)
        computed = store.read_table(part.path)
        assert computed is not None  # it was just written
    return Computed(computed, has_failed)


async def run_in(
    store: RunStore,
    stage: Stage,
    shard: Shard,
    run_id: str,
) -> tuple[Part, npt.NDArray[np.bool_]]:
    """Run a stage over a shard; return its table, and which of its rows failed for now.

    Raise `ConfigError` if no row could be computed.
    """
    try:
        return await run_with_failures(store, stage, shard, run_id, Progress())
    except FatalError as error:
        raise ConfigError(
            f"{stage.label} cannot be computed here: {error}; name other stages with "
            "--stage"
        ) from error


async def run_with_failures(
    store: RunStore,
    stage: Stage,
    shard: Shard,
    run_id: str,
    progress: Progress,
) -> tuple[Part, npt.NDArray[np.bool_]]:
    """Run a stage over a shard; return its table, and which of its rows failed for now.

    Raise `FatalError` if no row could be computed.
    """
    try:
        part = await run_stage(stage, shard, store, run_id=run_id, progress=progress)
    except ShardError as error:
        part = error.part
        table = store.read_table(part.path)
        assert table is not None  # it was just written
        row_set = stage.row_set(store)
        # The rows that succeeded are in a file that was written a moment ago.
        row_set.refresh()
        found, _ = row_set.find(table["key"].combine_chunks())
        has_failed = table["key"].is_valid().to_numpy().copy()
        has_failed[found] = False
        return part, has_failed
    return part, np.zeros(part.rows, dtype=bool)


def _first_of_each(rows: pa.Table) -> pa.Table:
    """Return the first row of each key."""
    seen: dict[bytes, int] = {}
    for position, key in enumerate(rows["key"].to_pylist()):
        seen.setdefault(key, position)
    return rows.take(pa.array(list(seen.values()), pa.int64()))


def keys_now(
    batch: CaseBatch,
    stage: Stage,
) -> Sequence[bytes | None]:
    """Return the keys that a stage's rows have by what they read now."""
    with empty_copy(batch, stage) as (store, shard):
        return stage.keys(stage.rows(shard, store)).to_pylist()  # type: ignore[no-any-return]
