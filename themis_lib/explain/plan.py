"""The plan of a run: the rows it would compute, why, and for how much.

Rows are looked up in the store; no component is called.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from themis_lib.core.models import TokenUsage
from themis_lib.explain.differences import differences, stage_differences
from themis_lib.explain.estimates import (
    estimate_usage,
    expected_request_length,
    request_length,
)
from themis_lib.runs.manifest import Manifest, manifests
from themis_lib.runs.pipeline import Pipeline, with_part
from themis_lib.runs.sendable import check_inputs
from themis_lib.stages.judge import JudgeStage
from themis_lib.stages.progress import Progress
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.score import ScoreStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.batch_ledger import BatchLedger
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore


@dataclass(frozen=True)
class StagePlan:
    """One stage of a run to come.

    `missing` rows would be computed; rows that are equal are computed once and counted
    once. `unknown` rows depend on rows that are missing. `usage` and `cost` (US
    dollars) are estimates for both, see `explain.estimates`; `None` where nothing tells.
    Where rows go by batch, `live_cost` is what the same would cost live, and `in_batches`
    of the missing rows are in batches already: they are fetched, and not sent again.
    If it `is_paid`, the rows may cost money; with `lacks_price`, nobody said how much.
    `price_source` says where their price is from, `None` if from the experiment.
    """

    stage: str
    rows: int
    cached: int
    missing: int
    unknown: int
    shared: int = 0
    reasons: tuple[str, ...] = ()
    usage: TokenUsage | None = None
    cost: float | None = None
    live_cost: float | None = None
    in_batches: int = 0
    calls_model: bool = False
    lacks_price: bool = False
    is_paid: bool = False
    price_source: str | None = None


class PlannedRows:
    """The rows that runs planned so far would compute: they share them with later ones."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self._unknown: set[tuple[str, ...]] = set()

    def take(self, keys: set[bytes]) -> set[bytes]:
        """Return those of some keys that no run computes yet, and note them."""
        new = keys - self._keys
        self._keys |= new
        return new

    def take_unknown(self, chain: tuple[str, ...]) -> bool:
        """Return whether no run computes a stage of a shard yet, and note it.

        `chain` is what its rows depend on: the cases, and the stages up to this one.
        """
        is_new = chain not in self._unknown
        self._unknown.add(chain)
        return is_new


def plan_run(
    pipeline: Pipeline,
    store: RunStore,
    planned: PlannedRows | None = None,
) -> list[StagePlan]:
    """Return what each stage would find and compute, and why rows would be missing.

    With `planned`, rows that an earlier plan counted are `shared`, and cost nothing.
    Raise `DatasetError` for data that cannot be read.
    """
    planned = planned or PlannedRows()
    pipeline = pipeline.resolved(store)
    counts = {stage.label: _Counts() for stage in pipeline.stages}
    # All data is read first, so that a bad line is found before the look-ups.
    shards = list(pipeline.shards(store))
    check_inputs(pipeline, shards, store)
    for shard in shards:
        for stage in pipeline.stages:
            count = counts[stage.label]
            rows = pipeline.rows_in(stage, shard)
            count.rows += rows
            if not pipeline.is_readable(stage, shard):
                if not planned.take_unknown(_chain(pipeline, stage, shard)):
                    count.shared += rows
                    continue
                length = expected_request_length(pipeline, stage, shard, store)
                count.unknown += rows
                count.add_requests(rows, length)
                continue
            cached, keys, length = look_up(stage, shard, store)
            new = planned.take(keys)
            missing = len(new)
            count.in_batches += len(new & _held_by_batches(stage, store))
            count.cached += cached
            count.missing += missing
            count.shared += len(keys) - missing
            count.add_requests(missing, length)
            if cached == rows:
                # Only behind a complete table can the rows of later stages be known.
                shard = _with_table(stage, shard, store)
    nearest = _nearest_run(pipeline, store)
    plans = []
    for stage in pipeline.stages:
        count = counts[stage.label]
        wanted = count.missing + count.unknown
        usage = estimate_usage(stage, wanted, count.characters, nearest)
        plan = StagePlan(
            stage=stage.label,
            rows=count.rows,
            cached=count.cached,
            missing=count.missing,
            unknown=count.unknown,
            shared=count.shared,
            reasons=_plan_reasons(pipeline, stage, nearest, count),
            usage=usage,
            in_batches=count.in_batches,
            calls_model=stage.calls_model,
            is_paid=stage.is_paid,
            **_priced(stage, usage, wanted),
        )
        plans.append(plan)
    return plans


def _priced(
    stage: Stage,
    usage: TokenUsage | None,
    requests: int,
) -> dict[str, Any]:
    """Return what so many requests that use these tokens together cost, by field."""
    # Rows that are all cached need no price.
    if not stage.is_paid or not requests:
        return {}
    price = stage.price
    if price is None or usage is None:
        return {"lacks_price": price is None}
    # Taken to be equally long: the tier of their price is that of the mean.
    above = price.tier_of((usage.input_tokens or 0) // requests)
    in_tiers = {} if above is None else {above: usage}
    live = price.total(usage, in_tiers)
    if not stage.goes_by_batch:
        return {"cost": live, "price_source": price.source}
    return {
        "cost": live - price.saved_by_batch(usage),
        "live_cost": live,
        "price_source": price.source,
    }


@dataclass
class _Counts:
    """The rows of one stage, counted shard by shard.

    `characters` is what the rows to compute ask a model about; `None` if that is not
    known for one of them.
    """

    rows: int = 0
    cached: int = 0
    missing: int = 0
    unknown: int = 0
    shared: int = 0
    in_batches: int = 0
    characters: float | None = 0.0

    def add_requests(
        self,
        count: int,
        length: float | None,
    ) -> None:
        """Count the characters of requests of this mean length."""
        if self.characters is None or length is None:
            self.characters = None
        else:
            self.characters += count * length


def _chain(
    pipeline: Pipeline,
    stage: Stage,
    shard: Shard,
) -> tuple[str, ...]:
    """Return what names the rows of a stage whose tables are not there to read yet."""
    stages = pipeline.stages
    before = stages[: stages.index(stage) + 1]
    # A score depends on the answers, and not on the metrics before it.
    if isinstance(stage, ScoreStage):
        judges = [each for each in before if each.label in stage.judges]
        before = [pipeline.generate, pipeline.parse, *judges, stage]
    elif isinstance(stage, JudgeStage):
        before = [pipeline.generate, pipeline.parse, stage]
    fingerprints = [each.fingerprint for each in before]
    cases = [f"{name} {digest}" for name, digest in sorted(shard.cases.columns.items())]
    return (shard.label, *cases, *map(str, pipeline.seeds), *fingerprints)


def look_up(
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> tuple[int, set[bytes], float]:
    """Return how many rows of a shard are cached, the keys of the others, and their
    requests' mean length in characters.
    """
    row_set = stage.row_set(store)
    part = row_set.shard(stage.shard_name(shard, store))
    if part is None:
        rows = stage.rows(shard, store)
        keys = stage.keys(rows)
        found, _ = row_set.find(keys)
        found_keys = keys.take(pa.array(found, pa.int64()))
        # A set: equal rows are computed once.
        missing = set(keys.drop_null().to_pylist())
        missing.difference_update(found_keys.to_pylist())
        if missing:
            # A row without a key has nothing to read, and is never computed.
            cached = len(found) + keys.null_count
            return cached, missing, request_length(stage, rows)
        # Every row is there, but not as a table, which the next stage has to read.
        assembling = run_stage(
            stage,
            shard,
            store,
            run_id="plan",
            progress=Progress(),
        )
        part = asyncio.run(assembling)
    return part.rows, set(), 0.0


def _held_by_batches(
    stage: Stage,
    store: RunStore,
) -> frozenset[bytes]:
    """Return the rows, by key, that batches at a provider have or will have."""
    held: frozenset[bytes] = frozenset()
    if stage.goes_by_batch:
        for batch in BatchLedger(store, stage.name, stage.fingerprint).read():
            held |= batch.held
    return held


def _with_table(
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> Shard:
    """Return a shard with this stage's table added, if the store has it."""
    part = stage.row_set(store).shard(stage.shard_name(shard, store))
    return shard if part is None else with_part(shard, stage, part)


def _nearest_run(
    pipeline: Pipeline,
    store: RunStore,
) -> Manifest | None:
    """Return the run to compare with, or `None` if the store has no run.

    Runs of the same name win, then those that share most stages, then the latest.
    """
    fingerprints = {stage.fingerprint for stage in pipeline.stages}

    def likeness(manifest: Manifest) -> tuple[bool, int, str]:
        shared = 0
        for record in manifest.stages:
            shared += record.fingerprint in fingerprints
        has_same_name = manifest.name == pipeline.experiment.name
        return has_same_name, shared, manifest.started_at

    return max(manifests(store), key=likeness, default=None)


def _plan_reasons(
    pipeline: Pipeline,
    stage: Stage,
    nearest: Manifest | None,
    count: _Counts,
) -> tuple[str, ...]:
    """Return why rows of a stage are not cached; empty if all are."""
    if count.cached == count.rows:
        return ()
    if nearest is None:
        # Once is enough: it is the reason for every later stage, too.
        is_first_stage = stage is pipeline.generate
        return ("no run in this store yet",) if is_first_stage else ()
    if not count.missing:
        return (
            "depends on what the stage before it returns; a row that comes out the "
            "same is not computed again",
        )
    record = nearest.stage(stage.label)
    if record is None:
        return (f"run {nearest.run_id} had no such stage",)
    lines = stage_differences(
        record.identity,
        stage.full_identity,
        dependencies=(record.dependencies, stage.depends_on),
        places=stage.places,
    )
    # Seeds are in the keys of generate, but not in its fingerprint.
    if stage is pipeline.generate:
        lines += differences(nearest.seeds, list(pipeline.seeds), "seeds")
    if not lines:
        return (
            f"the same stage as in run {nearest.run_id}; these rows are new, changed "
            f"or were not finished",
        )
    return tuple(f"since run {nearest.run_id}: {line}" for line in lines)
