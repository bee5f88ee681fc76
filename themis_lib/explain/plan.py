"""What a run would compute, and why: looks rows up, computes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.models import TokenUsage
from themis_lib.core.protocols import ANSWER_COLUMNS, OUTPUT_COLUMNS, WHOLE_CASE
from themis_lib.identity.digests import canonical_json
from themis_lib.runs.manifest import Manifest, manifests
from themis_lib.runs.pipeline import Pipeline
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.judge import JudgeStage
from themis_lib.stages.progress import Progress
from themis_lib.stages.reading import read
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.score import ScoreStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

_VALUE_CHARS = 60
_CHARS_PER_TOKEN = 4


@dataclass(frozen=True)
class StagePlan:
    """One stage of a run to come: `missing` rows would be computed, each for all rows
    that are equal to it; `unknown` rows depend on rows that are missing. `usage` and
    `cost` (US dollars) are estimates for both: what a row took on average in the run
    nearest to this one, else a token for every four characters, and `max_tokens` to
    answer. For a judge these are the characters of its request; where the answer to
    judge is not there yet, those of the case, and the longest answer that `max_tokens`
    allows. `lacks_price`: the rows may cost money, and nobody said how much.
    """

    stage: str
    rows: int
    cached: int
    missing: int
    unknown: int
    reasons: tuple[str, ...] = ()
    usage: TokenUsage | None = None
    cost: float | None = None
    calls_model: bool = False
    lacks_price: bool = False


def plan_run(
    pipeline: Pipeline,
    store: RunStore,
) -> list[StagePlan]:
    """What each stage would find and what it would compute, with the reason why rows
    would miss.
    """
    counts = {stage.label: _Counts() for stage in pipeline.stages}
    for shard in list(pipeline.shards(store)):
        for stage in pipeline.stages:
            readable = pipeline.is_readable(stage, shard)
            rows = pipeline.rows_in(stage, shard)
            if not readable:
                counts[stage.label].add_unknown(
                    rows,
                    _expected_length(
                        pipeline,
                        stage,
                        shard,
                        store,
                    ),
                )
                continue
            found, missing, length = asyncio.run(_look_up(stage, shard, store))
            counts[stage.label].add(
                rows,
                found,
                missing,
                length,
            )
            if found == rows:
                shard = _next_shard(stage, shard, store)
    nearest = _nearest_run(pipeline, store)
    return [
        StagePlan(
            stage.label,
            count.rows,
            count.cached,
            count.missing,
            count.unknown,
            reasons=_plan_reasons(
                pipeline,
                stage,
                nearest,
                count,
            ),
            usage=usage,
            cost=_usage_cost(stage, usage),
            calls_model=stage.calls_model,
            lacks_price=stage.is_paid and stage.price is None,
        )
        for stage, count in zip(pipeline.stages, counts.values(), strict=True)
        for usage in [_estimate_usage(stage, count, nearest)]
    ]


@dataclass
class _Counts:
    rows: int = 0
    cached: int = 0
    missing: int = 0
    unknown: int = 0
    characters: float | None = (
        0.0  # of what the rows to compute ask; null where nothing tells
    )

    def add(
        self,
        rows: int,
        cached: int,
        missing: int,
        length: float,
    ) -> None:
        self.rows += rows
        self.cached += cached
        self.missing += missing
        self._count_requests(missing, length)

    def add_unknown(
        self,
        rows: int,
        length: float | None,
    ) -> None:
        self.rows += rows
        self.unknown += rows
        self._count_requests(rows, length)

    def _count_requests(
        self,
        rows: int,
        length: float | None,
    ) -> None:
        self.characters = (
            None
            if self.characters is None or length is None
            else self.characters + rows * length
        )


async def _look_up(
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> tuple[int, int, float]:
    """Rows found, rows missing, and the mean length of what the rows of their shard
    ask.

    Where all are found the shard's table is put together, if it was not.
    """
    row_set = stage.row_set(store)
    if row_set.shard(stage.shard_name(shard)) is None:
        rows = stage.rows(shard, store)
        keys = stage.keys(rows)
        found = row_set.find(keys)[0]
        missing = {
            key for position, key in enumerate(keys.to_pylist()) if key is not None
        } - {keys[position].as_py() for position in found.tolist()}
        if missing:
            return (
                len(found) + keys.null_count,
                len(missing),
                _mean_length(rows, _asked_columns(stage)),
            )
        await run_stage(
            stage,
            shard,
            store,
            run_id="plan",
            progress=Progress(),
        )
    part = row_set.shard(stage.shard_name(shard))
    return (part.rows if part else 0), 0, 0.0


def _asked_columns(stage: Stage) -> Sequence[str]:
    """The columns whose texts a stage asks a model about; none for a stage that calls
    no model.
    """
    if isinstance(stage, JudgeStage):
        return ("input",)  # its whole request
    return WHOLE_CASE if isinstance(stage, GenerateStage) else ()


def _next_shard(
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> Shard:
    """The shard with this stage's table, where it has one."""
    part = stage.row_set(store).shard(stage.shard_name(shard))
    if part is None:
        return shard
    if isinstance(stage, JudgeStage):
        return replace(shard, verdicts={**shard.verdicts, stage.label: part})
    if isinstance(stage, ScoreStage):
        return replace(shard, scores={**shard.scores, stage.metric_id: part})
    table: dict[str, Any] = {
        {"generate": "outputs", "parse": "answers", "reduce": "results"}[
            stage.name
        ]: part
    }
    return replace(shard, **table)


def _expected_length(
    pipeline: Pipeline,
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> float | None:
    """The characters that a judge will be asked about an answer that is not there yet,
    with the longest there may be; null where the generator sets no `max_tokens`.
    """
    if not isinstance(stage, JudgeStage):
        return 0.0
    of_case = _mean_length(
        read(store, shard.cases),
        [name for name in WHOLE_CASE if name in stage.metric_reads],
    )
    if not any(
        name in (*OUTPUT_COLUMNS, *ANSWER_COLUMNS) for name in stage.metric_reads
    ):
        return of_case
    longest = pipeline.generate.generator.max_tokens
    return None if longest is None else of_case + longest * _CHARS_PER_TOKEN


def _mean_length(
    rows: pa.Table,
    names: Sequence[str],
) -> float:
    """The mean length of these columns' texts together; columns that were not read are
    left out.
    """
    known = [name for name in names if name in rows.column_names]
    return sum(
        float(pc.mean(pc.utf8_length(rows[name])).as_py() or 0.0) for name in known
    )


def _estimate_usage(
    stage: Stage,
    count: _Counts,
    nearest: Manifest | None,
) -> TokenUsage | None:
    """Return the tokens that the missing and unknown rows of a stage will take.

    `None` for a stage that calls no model, and where nothing tells.
    """
    wanted = count.missing + count.unknown
    if not isinstance(stage, GenerateStage) or not wanted:
        return None
    known = _usage_before(stage, nearest)
    if known is not None:
        used, rows = known
        estimate: dict[str, int | None] = {}
        for name, tokens in used.model_dump().items():
            estimate[name] = None if tokens is None else round(tokens * wanted / rows)
        return TokenUsage(**estimate)
    longest = stage.generator.max_tokens
    if not stage.is_paid or count.characters is None or longest is None:
        return None
    instructions = len(stage.prompt_spec.model_dump_json(exclude_defaults=True))
    inputs = (count.characters + wanted * instructions) / _CHARS_PER_TOKEN
    return TokenUsage(
        input_tokens=round(inputs),
        output_tokens=wanted * longest,
    )


def _usage_before(
    stage: Stage,
    nearest: Manifest | None,
) -> tuple[TokenUsage, int] | None:
    """Return tokens of this stage in the nearest run, and the rows that took them."""
    for record in nearest.stages if nearest else ():
        if record.stage != stage.label:
            continue
        # The rows it computed itself are the most like those to come.
        used = record.usage_computed if record.computed else record.usage
        rows = record.computed or max(record.rows - record.skipped, 1)
        return None if used is None else (used, rows)
    return None


def _usage_cost(
    stage: Stage,
    usage: TokenUsage | None,
) -> float | None:
    price = stage.price
    return None if usage is None or price is None else price.cost(usage)


def _nearest_run(
    pipeline: Pipeline,
    store: RunStore,
) -> Manifest | None:
    """The run that shares most stages with this one; of equals the latest."""
    fingerprints = {stage.fingerprint for stage in pipeline.stages}

    def likeness(manifest: Manifest) -> tuple[bool, int, str]:
        shared = sum(record.fingerprint in fingerprints for record in manifest.stages)
        return manifest.name == pipeline.experiment.name, shared, manifest.run_id

    return max(
        manifests(store),
        key=likeness,
        default=None,
    )


def _plan_reasons(
    pipeline: Pipeline,
    stage: Stage,
    nearest: Manifest | None,
    counts: _Counts,
) -> tuple[str, ...]:
    if counts.cached == counts.rows:
        return ()
    if nearest is None:
        return ("no run in this store yet",) if stage is pipeline.generate else ()
    if not counts.missing:
        return (
            "depends on what the stage before it returns; a row that comes out the "
            "same is not computed again",
        )
    record = next(
        (record for record in nearest.stages if record.stage == stage.label), None
    )
    if record is None:
        return (f"run {nearest.run_id} had no such stage",)
    lines = differences(record.identity, stage.identity)
    if stage is pipeline.generate:
        lines += differences(nearest.seeds, list(pipeline.seeds), "seeds")
    if not lines:
        return (
            f"the same stage as in run {nearest.run_id}; these rows are new, changed "
            f"or were not finished",
        )
    return tuple(f"since run {nearest.run_id}: {line}" for line in lines)


def differences(
    before: Any,
    after: Any,
    path: str = "",
) -> list[str]:
    """The settings that differ between two identities, one line each.

    >>> differences({"prompt_spec": {"prefix": "a"}}, {"prompt_spec": {"prefix": "b"}})
    ['prompt_spec.prefix: "a" → "b"']
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = sorted(before.keys() | after.keys())
        return [
            line
            for name in names
            for line in differences(
                before.get(name), after.get(name), f"{path}.{name}" if path else name
            )
        ]
    if (
        isinstance(before, list)
        and isinstance(after, list)
        and len(before) == len(after)
    ):
        return [
            line
            for index, (old, new) in enumerate(zip(before, after, strict=True))
            for line in differences(old, new, f"{path}[{index}]")
        ]
    return (
        []
        if before == after
        else [f"{path}: {_short_value(before)} → {_short_value(after)}"]
    )


def _short_value(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= _VALUE_CHARS else text[: _VALUE_CHARS - 1] + "…"
