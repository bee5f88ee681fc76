"""A stage maps rows to rows: `run_stage` computes the rows of a shard that no one has computed before.

A row's key is the stage's fingerprint plus the digest of the columns it reads. A shard's name is the digest of the
fingerprint plus the digests of those columns as a whole: where a shard of that name exists nothing is looked up.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.core.collector import Collector
from themis_lib.core.identity import canonical_json, digest, row_keys
from themis_lib.core.journal import Journal
from themis_lib.core.progress import Progress
from themis_lib.core.rows import RowSet
from themis_lib.core.store import RunStore
from themis_lib.core.tables import KEY, SCHEMA_VERSION, Part, empty_rows
from themis_lib.errors import ShardError

#: Columns that hold canonical JSON text already.
_JSON_COLUMNS = {
    "input", "expected_output", "metadata", "output", "trace", "conversation", "artifacts", "value", "candidates",
    "verdicts",
}  # fmt: skip

_FLUSH_S = 1.0

Outcome = Mapping[str, Any] | Exception
Emit = Callable[[Sequence[tuple[int, Outcome]]], None]


@dataclass(frozen=True)
class Shard:
    """A run of cases and the tables computed for them so far; what passes from stage to stage."""

    index: int
    start: int
    dataset_id: str
    cases: Part
    outputs: Part | None = None
    answers: Part | None = None
    verdicts: Mapping[str, Part] = field(default_factory=dict)
    scores: Mapping[str, Part] = field(default_factory=dict)
    results: Part | None = None

    @property
    def label(self) -> str:
        """The cases of the shard, as people count them."""
        return f"{self.dataset_id} {self.start}-{self.start + self.cases.rows - 1}"

    def to_json(self) -> dict[str, Any]:
        """The shard as JSON references."""
        parts = {name: getattr(self, name) for name in ("cases", "outputs", "answers", "results")}
        return {
            "index": self.index,
            "start": self.start,
            "dataset_id": self.dataset_id,
            **{name: part.to_json() if part else None for name, part in parts.items()},
            "verdicts": {label: part.to_json() for label, part in self.verdicts.items()},
            "scores": {metric_id: part.to_json() for metric_id, part in self.scores.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Shard:
        """The shard that `to_json` wrote."""

        def part(name: str) -> Part | None:
            return Part(**value[name]) if value[name] else None

        return cls(
            index=value["index"],
            start=value["start"],
            dataset_id=value["dataset_id"],
            cases=Part(**value["cases"]),
            outputs=part("outputs"),
            answers=part("answers"),
            verdicts={label: Part(**item) for label, item in value["verdicts"].items()},
            scores={metric_id: Part(**item) for metric_id, item in value["scores"].items()},
            results=part("results"),
        )


class Stage(ABC):
    """One computation over rows: what it reads, what it writes, and how."""

    name: str
    #: How often a journal makes finished rows safe: 0 for rows that cost money.
    journal_interval_s: float = 1.0
    schema: pa.Schema

    @property
    def label(self) -> str:
        """The stage as people see it: `score[exact_match]`."""
        return self.name

    @property
    def is_paid(self) -> bool:
        """Whether its calls may cost money."""
        return False

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that can change a row, as JSON; what `--plan` compares between runs."""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The columns a row's key covers."""

    @abstractmethod
    def columns(self, shard: Shard) -> dict[str, Any]:
        """The digests of what this stage reads from a shard; with the fingerprint they name the result."""

    @abstractmethod
    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        """The rows to compute: the columns read, the ids, and `error` where an earlier stage has no row."""

    @abstractmethod
    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        """Compute rows, handing over outcomes by position as they finish; an exception is a failure of this run."""

    @cached_property
    def fingerprint(self) -> str:
        """The name of this computation."""
        return digest(f"stage/{self.name}", {**self.identity, "reads": list(self.reads), "schema": SCHEMA_VERSION})

    def shard_name(self, shard: Shard) -> str:
        """The name of this stage's table for a shard."""
        return digest("shard", [self.fingerprint, self.columns(shard)])

    def keys(self, rows: pa.Table) -> pa.Array:
        """The key of each row; null for a row that an earlier stage left without anything to read."""
        texts = [_texts(rows, name) for name in self.reads]
        columns = zip(*texts, strict=True) if texts else [()] * rows.num_rows
        keys: list[bytes | None] = list(row_keys(self.fingerprint, columns))
        if rows["error"].null_count < rows.num_rows:
            keys = [None if error else key for key, error in zip(keys, rows["error"].to_pylist(), strict=True)]
        return pa.array(keys, KEY.type)

    def row_set(self, store: RunStore) -> RowSet:
        """The rows of this stage in a store."""
        return store.rows(self.name, self.fingerprint, self.schema)


def _texts(rows: pa.Table, name: str) -> list[str | None]:
    values = rows[name].to_pylist()
    if name in _JSON_COLUMNS:
        return values  # type: ignore[no-any-return]
    return [None if value is None else canonical_json(value) for value in values]


async def run_stage(stage: Stage, shard: Shard, store: RunStore, *, run_id: str, progress: Progress) -> Part:
    """Compute what is missing of a shard and return the reference to its table, one row for each input row.

    Raises `ShardError` when rows failed that might succeed if tried again; its `part` holds every row, and those
    that succeeded are saved. Raises `FatalError` when no other row could succeed either.
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
    collector = Collector(stage, journal, keys.take(missing), rows["case_id"].take(missing), progress)
    try:
        if len(missing):
            async with _flushing(collector.journal):
                await stage.compute(rows.take(missing), run_id, collector.emit)
        table = _assemble(stage, rows, keys, known_rows, collector)
        if collector.failures:
            path = f"runs/{run_id}/incomplete/{stage.name}-{name}.parquet"
            part = collector.counted(store.replace_part(path, table), cached=len(known))
            raise ShardError(collector.summary(shard), part=part, transient=collector.transient)
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
        await asyncio.gather(flushing, return_exceptions=True)  # rows it could not save, the journal still has


def _first_of_each(keys: pa.Array, known: np.ndarray[Any, Any]) -> pa.Array:
    """The positions of the rows to compute: not known, not without a key, and each key once."""
    unknown = np.ones(len(keys), dtype=bool)
    unknown[known] = False
    first: dict[bytes, int] = {}
    for position, key in zip(np.flatnonzero(unknown).tolist(), keys.filter(pa.array(unknown)).to_pylist(), strict=True):
        if key is not None:
            first.setdefault(key, position)
    return pa.array(list(first.values()), pa.int64())


def _assemble(stage: Stage, rows: pa.Table, keys: pa.Array, known: pa.Table, collector: Collector) -> pa.Table:
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
    return pa.concat_tables([found, blanks]).take(pa.array(order, pa.int64())).combine_chunks()
