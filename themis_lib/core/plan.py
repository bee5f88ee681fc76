"""What a run would compute, and why: looks rows up, computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from themis_lib.core.identity import canonical_json
from themis_lib.core.manifest import Manifest, manifests
from themis_lib.core.pipeline import Pipeline
from themis_lib.core.stage import Shard, Stage
from themis_lib.core.store import RunStore

_VALUE_CHARS = 60


@dataclass(frozen=True)
class StagePlan:
    """One stage of a run to come: `missing` rows would be computed, `unknown` depend on rows that are missing."""

    stage: str
    rows: int
    cached: int
    missing: int
    unknown: int
    reasons: tuple[str, ...] = ()


def plan_run(pipeline: Pipeline, store: RunStore) -> list[StagePlan]:
    """What each stage would find and what it would compute, with the reason why rows would miss."""
    nearest = _nearest_run(pipeline, store)
    counts: dict[str, list[int]] = {stage.label: [0, 0, 0, 0] for stage in pipeline.stages}
    for shard in list(pipeline.shards(store)):
        known: Shard | None = shard
        for stage in pipeline.stages:
            rows = pipeline.rows_in(stage, shard)
            cached, missing, known_after = _look_up(stage, known, store, rows)
            tally = counts[stage.label]
            for index, count in enumerate((rows, cached, missing, rows - cached - missing)):
                tally[index] += count
            known = known_after if stage.name != "score" or known_after is None else known_after
    return [
        StagePlan(stage.label, *counts[stage.label], reasons=_reasons(stage, nearest, counts[stage.label]))
        for stage in pipeline.stages
    ]


def _look_up(stage: Stage, shard: Shard | None, store: RunStore, rows: int) -> tuple[int, int, Shard | None]:
    """Rows found and rows missing; then the shard with this stage's table, where the store has it whole."""
    if shard is None:
        return 0, 0, None
    row_set = stage.row_set(store)
    part = row_set.shard(stage.shard_name(shard))
    if part is not None:
        return rows, 0, _with_part(stage, shard, part)
    keys = stage.keys(stage.rows(shard, store))
    found = len(row_set.find(keys)[0]) + keys.null_count
    return found, rows - found, None


def _with_part(stage: Stage, shard: Shard, part: Any) -> Shard:
    if stage.name == "score":
        return replace(shard, scores={**shard.scores, getattr(stage, "metric_id"): part})  # noqa: B009
    return replace(shard, **{{"generate": "outputs", "parse": "answers", "reduce": "results"}[stage.name]: part})


def _nearest_run(pipeline: Pipeline, store: RunStore) -> Manifest | None:
    """The run that shares most stages with this one; of equals the latest."""
    fingerprints = {stage.fingerprint for stage in pipeline.stages}

    def likeness(manifest: Manifest) -> tuple[bool, int, str]:
        shared = sum(record.fingerprint in fingerprints for record in manifest.stages)
        return manifest.name == pipeline.experiment.name, shared, manifest.run_id

    return max(manifests(store), key=likeness, default=None)


def _reasons(stage: Stage, nearest: Manifest | None, counts: list[int]) -> tuple[str, ...]:
    rows, cached, missing, unknown = counts
    if cached == rows:
        return ()
    if nearest is None:
        return ("no run in this store yet",)
    if unknown == rows:
        return ("depends on what an earlier stage returns; a row whose input comes out the same is not computed again",)
    record = next((record for record in nearest.stages if record.stage == stage.label), None)
    if record is None:
        return (f"run {nearest.run_id} had no stage {stage.label}",)
    if record.fingerprint == stage.fingerprint:
        return (f"same stage as run {nearest.run_id}; these rows are new or were not finished",)
    return tuple(f"since run {nearest.run_id}: {line}" for line in differences(record.identity, stage.identity))


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """The settings that differ between two identities, one line each.

    >>> differences({"prompt_spec": {"prefix": "a"}}, {"prompt_spec": {"prefix": "b"}})
    ['prompt_spec.prefix: "a" → "b"']
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = sorted(before.keys() | after.keys())
        return [
            line
            for name in names
            for line in differences(before.get(name), after.get(name), f"{path}.{name}" if path else name)
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for index, (old, new) in enumerate(zip(before, after, strict=True))
            for line in differences(old, new, f"{path}[{index}]")
        ]
    return [] if before == after else [f"{path}: {_short(before)} → {_short(after)}"]


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= _VALUE_CHARS else text[: _VALUE_CHARS - 1] + "…"
