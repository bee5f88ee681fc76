"""A stage maps rows to rows.

A row's key is the stage's fingerprint plus the digest of the columns it reads. A
shard's name is the digest of the fingerprint plus the digests of those columns as a
whole: where a shard of that name exists nothing is looked up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from themis_lib.identity.digests import canonical_json, digest, row_keys
from themis_lib.storage.rows import RowSet, open_rows
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, SCHEMA_VERSION

#: Columns that hold canonical JSON text already.
_JSON_COLUMNS = {
    "input",
    "expected_output",
    "metadata",
    "output",
    "trace",
    "conversation",
    "artifacts",
    "value",
    "candidates",
    "verdicts",
}

RowOutcome = Mapping[str, Any] | Exception
Emit = Callable[[Sequence[tuple[int, RowOutcome]]], None]


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
        """Everything that can change a row, as JSON; what `--plan` compares between
        runs.
        """

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The columns a row's key covers."""

    @abstractmethod
    def columns(self, shard: Shard) -> dict[str, Any]:
        """The digests of what this stage reads from a shard; with the fingerprint they
        name the result.
        """

    @abstractmethod
    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        """The rows to compute: the columns read, the ids, and `error` where an earlier
        stage has no row.
        """

    @abstractmethod
    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        """Compute rows, handing over outcomes by position as they finish; an exception
        is a failure of this run.
        """

    @cached_property
    def fingerprint(self) -> str:
        """The name of this computation."""
        return digest(
            f"stage/{self.name}",
            {**self.identity, "reads": list(self.reads), "schema": SCHEMA_VERSION},
        )

    def shard_name(self, shard: Shard) -> str:
        """The name of this stage's table for a shard."""
        return digest("shard", [self.fingerprint, self.columns(shard)])

    def keys(self, rows: pa.Table) -> pa.Array:
        """The key of each row; null for a row that an earlier stage left without
        anything to read.
        """
        texts = [_texts(rows, name) for name in self.reads]
        columns = zip(*texts, strict=True) if texts else [()] * rows.num_rows
        keys: list[bytes | None] = list(row_keys(self.fingerprint, columns))
        if rows["error"].null_count < rows.num_rows:
            keys = [
                None if error else key
                for key, error in zip(keys, rows["error"].to_pylist(), strict=True)
            ]
        return pa.array(keys, KEY.type)

    def row_set(self, store: RunStore) -> RowSet:
        """The rows of this stage in a store."""
        return open_rows(store, self.name, self.fingerprint, self.schema)


def _texts(rows: pa.Table, name: str) -> list[str | None]:
    values = rows[name].to_pylist()
    if name in _JSON_COLUMNS:
        return values  # type: ignore[no-any-return]
    return [None if value is None else canonical_json(value) for value in values]
