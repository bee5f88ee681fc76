"""The parts that hold a run's rows: a run refers to them, and copies none.

    <store>/runs/<run_id>/parts.json    for each shard, the part of each stage

The tables of a run are put together from them when they are read; see
`AssembledTable`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from themis_lib.errors import StoreError
from themis_lib.identity.digests import digest
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import Pipeline
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import VOLATILE_COLUMNS

PARTS_NAME = "parts.json"


@dataclass(frozen=True)
class HeldPart:
    """A part with rows of a run; `content` is the digest of what it held then.

    `content` covers all columns but keys and what differs at every call: rows that are
    computed again agree in these.
    """

    path: str
    rows: int
    content: str

    @classmethod
    def of(cls, part: Part) -> HeldPart:
        """Return what a run keeps of the reference to a part."""
        return cls(part.path, part.rows, content_of(part.columns))


def content_of(columns: Mapping[str, str]) -> str:
    """Return the digest of a part's content from those of its columns."""
    lasting = {
        name: column for name, column in columns.items() if name not in VOLATILE_COLUMNS
    }
    return digest("content", lasting)


@dataclass(frozen=True)
class ShardParts:
    """The parts of one shard, by the table whose rows they hold.

    `scores` has one for each metric and `verdicts` one for each judge; any other table
    has one, or none in a run that stopped before it.
    """

    tables: Mapping[str, tuple[HeldPart, ...]]

    @classmethod
    def of(cls, shard: Shard) -> ShardParts:
        """Return the parts of a shard that went through all stages of its run."""
        parts: dict[str, Sequence[Part | None]] = {
            "cases": [shard.cases],
            "outputs": [shard.outputs],
            "answers": [shard.answers],
            "verdicts": list(shard.verdicts.values()),
            "scores": list(shard.scores.values()),
            "results": [shard.results],
        }
        tables = {}
        for name, held in parts.items():
            tables[name] = tuple(HeldPart.of(part) for part in held if part is not None)
        return cls(tables)

    @property
    def cases(self) -> HeldPart:
        """The part with the cases, which every shard has."""
        return self.tables["cases"][0]


@dataclass(frozen=True)
class RunParts:
    """The parts of a run, shard by shard, and what its tables have beside their rows.

    `judges` has the metric and the judge of each part of verdicts, `metrics` the metric
    of each part of scores, `reduced` the metrics of the results of a case.
    """

    seeds: tuple[int, ...]
    judges: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]
    reduced: tuple[str | None, ...]
    reducer: str
    shards: tuple[ShardParts, ...]

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        shards: Sequence[ShardParts],
    ) -> RunParts:
        """Return the parts of a run of a pipeline, in the order of its shards."""
        return cls(
            seeds=tuple(pipeline.seeds),
            judges=tuple(
                (stage.metric_id, stage.judge_id) for stage in pipeline.judges
            ),
            metrics=tuple(stage.metric_id for stage in pipeline.scores),
            reduced=tuple(pipeline.reduce.metric_ids),
            reducer=pipeline.reduce.reducer.component_id,
            shards=tuple(shards),
        )

    @property
    def paths(self) -> set[str]:
        """The paths of all parts."""
        found: set[str] = set()
        for shard in self.shards:
            for parts in shard.tables.values():
                found.update(part.path for part in parts)
        return found

    def of_stage(
        self,
        name: str,
        member_id: str | None,
    ) -> Iterator[HeldPart]:
        """Yield the parts of one stage in the order of the shards.

        `name` is that of its table, `member_id` its metric or judge where it has one.
        """
        members: Sequence[str | None] = (None,)
        if name == "scores":
            members = self.metrics
        elif name == "verdicts":
            members = [judge_id for _, judge_id in self.judges]
        for shard in self.shards:
            for member, part in zip(members, shard.tables[name], strict=False):
                if member == member_id:
                    yield part

    def to_bytes(self) -> bytes:
        """Return the parts as JSON."""
        shards = []
        for shard in self.shards:
            tables = {}
            for name, parts in shard.tables.items():
                tables[name] = [[part.path, part.rows, part.content] for part in parts]
            shards.append(tables)
        record: dict[str, Any] = {
            "seeds": self.seeds,
            "judges": self.judges,
            "metrics": self.metrics,
            "reduced": self.reduced,
            "reducer": self.reducer,
            "shards": shards,
        }
        return orjson.dumps(record)

    @classmethod
    def from_bytes(cls, content: bytes) -> RunParts:
        """Return what `to_bytes` wrote. Raise `ValueError` for anything else."""
        try:
            record = orjson.loads(content)
            shards = []
            for tables in record["shards"]:
                held = {}
                for name, parts in tables.items():
                    held[name] = tuple(HeldPart(*part) for part in parts)
                shards.append(ShardParts(held))
            return cls(
                seeds=tuple(record["seeds"]),
                judges=tuple((metric, judge) for metric, judge in record["judges"]),
                metrics=tuple(record["metrics"]),
                reduced=tuple(record["reduced"]),
                reducer=record["reducer"],
                shards=tuple(shards),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no record of parts ({error})") from None


def parts_path(run_id: str) -> str:
    """Return where a store has the parts of a run."""
    return f"runs/{run_id}/{PARTS_NAME}"


def read_parts(
    store: RunStore,
    run_id: str,
) -> RunParts:
    """Return the parts of a run. Raise `StoreError` if their record cannot be read."""
    path = parts_path(run_id)
    try:
        with store.open(path) as file:
            return RunParts.from_bytes(file.read())
    except FileNotFoundError:
        reason = "is missing"
    except ValueError as error:
        reason = f"cannot be read ({error})"
    raise StoreError(
        f"{store.uri(path)} {reason}; remove the folder of this run, and run its "
        "experiment again, which computes what is missing"
    )
