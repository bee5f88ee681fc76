"""A stage maps rows to rows.

A row's key is the stage's fingerprint plus the digest of the columns it reads. A
shard's name is the digest of the fingerprint plus the digests of those columns as a
whole: if a shard of that name exists, no row is looked up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import pyarrow as pa

from themis_lib.components.records import BuiltComponent
from themis_lib.core.model_prices import PriceOf
from themis_lib.core.prices import Price
from themis_lib.identity.digests import canonical_json, digest, row_keys
from themis_lib.stages.progress import Progress
from themis_lib.storage.rows import RowSet, open_rows, rows_directory
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

#: A row's record, without its key, or the exception that left this run without one.
RowOutcome = Mapping[str, Any] | Exception
#: Takes outcomes by the position of their rows.
Emit = Callable[[Sequence[tuple[int, RowOutcome]]], None]


class Stage(ABC):
    """One computation over rows: what it reads, what it writes, and how."""

    name: str
    #: How often a journal makes finished rows safe; 0 for rows that cost money.
    journal_interval_s: float = 1.0
    schema: pa.Schema
    #: What the model that a stage calls is charged at, to be looked up.
    price_of: PriceOf | None = None
    #: Files and `env:NAME` that its rows depend on, by digest; see `dependencies`.
    depends_on: Mapping[str, str] = MappingProxyType({})
    #: Directories whose traces say so.
    traced_in: tuple[str, ...] = ()

    @property
    def price(self) -> Price | None:
        """What its model is charged at; `None` where nobody says, or it calls none."""
        return None if self.price_of is None else self.price_of.price

    @property
    def label(self) -> str:
        """The stage as people see it: `score[exact_match]`."""
        return self.name

    @property
    def is_paid(self) -> bool:
        """Whether its calls may cost money."""
        return False

    @property
    def calls_model(self) -> bool:
        """Whether it calls a model that has a name."""
        return False

    @property
    def claimed_in_flight(self) -> int | None:
        """How many of its rows are in flight at most, if runs are to share them out.

        `None` for rows that are quick and free: to compute them twice costs less.
        """
        return None

    @property
    def goes_by_batch(self) -> bool:
        """Whether its rows go to a provider's batch API."""
        return False

    @property
    def global_limit(self) -> str | None:
        """The orchestrator's concurrency limit that each of its shards takes, if any."""
        return None

    @property
    def components(self) -> tuple[BuiltComponent, ...]:
        """The components that compute its rows."""
        return ()

    @property
    def places(self) -> dict[str, str]:
        """The file and line of each definition that its components' code reaches."""
        places: dict[str, str] = {}
        for component in self.components:
            if component.code is not None:
                for name, place in component.code.places.items():
                    places[name] = _short_place(place)
        return places

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that can change a row, as JSON; `--plan` compares it between runs."""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The columns that a row's key covers."""

    @abstractmethod
    def columns(
        self,
        shard: Shard,
        store: RunStore,
    ) -> dict[str, Any]:
        """Return the digests of what this stage reads from a shard.

        Together with the fingerprint they name the shard's table.
        """

    @abstractmethod
    def rows(
        self,
        shard: Shard,
        store: RunStore,
    ) -> pa.Table:
        """Return the rows to compute: the columns read, the ids, and `error`.

        `error` is set where an earlier stage left nothing to read.
        """

    def sending_order(self, rows: pa.Table) -> list[int]:
        """Return the positions of rows in the order in which to compute them.

        What a row comes out as does not depend on it.
        """
        return list(range(rows.num_rows))

    @abstractmethod
    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        """Compute rows and emit their outcomes by position as they finish.

        An exception as outcome is a failure of this run: it is not cached.
        """

    @asynccontextmanager
    async def opened(
        self,
        store: RunStore,
        progress: Progress,
    ) -> AsyncIterator[Self]:
        """Return the stage with what it needs of a store, for a block that computes."""
        yield self

    @property
    def steps(self) -> tuple[Stage, ...]:
        """The stages of the calls that its rows are made of, if these are rows too."""
        return ()

    @property
    def counts_tokens(self) -> bool:
        """Whether the tokens of a computed row were all spent on computing it."""
        return True

    @property
    def has_user_code(self) -> bool:
        """Whether a component of a user computes its rows."""
        return any(component.code is not None for component in self.components)

    @property
    def full_identity(self) -> dict[str, Any]:
        """The identity, with the files and variables that the rows depend on."""
        if not self.depends_on:
            return self.identity
        return {**self.identity, "depends_on": dict(self.depends_on)}

    @cached_property
    def own_fingerprint(self) -> str:
        """The name of this computation, whatever its components read beside rows."""
        return self._fingerprint_of(self.identity)

    @cached_property
    def fingerprint(self) -> str:
        """The name of this computation."""
        return self._fingerprint_of(self.full_identity)

    @property
    def directory(self) -> str:
        """Where a store keeps the rows of this computation."""
        return rows_directory(self.name, self.fingerprint)

    def _fingerprint_of(self, identity: Mapping[str, Any]) -> str:
        computation = {
            **identity,
            "reads": list(self.reads),
            "schema": SCHEMA_VERSION,
        }
        return digest(f"stage/{self.name}", computation)

    def shard_name(
        self,
        shard: Shard,
        store: RunStore,
    ) -> str:
        """Return the name of this stage's table for a shard."""
        return digest("shard", [self.fingerprint, self.columns(shard, store)])

    def keys(self, rows: pa.Table) -> pa.Array:
        """Return the key of each row.

        The key is null where an earlier stage left nothing to read: such a row is
        never looked up and never computed.
        """
        texts = []
        for name in self.reads:
            values = rows[name].to_pylist()
            if name not in _JSON_COLUMNS:
                values = [
                    None if value is None else canonical_json(value) for value in values
                ]
            texts.append(values)
        # A stage that reads nothing has the same, empty, content in every row.
        contents = zip(*texts, strict=True) if texts else [()] * rows.num_rows
        keys: list[bytes | None] = list(row_keys(self.fingerprint, contents))
        if rows["error"].null_count < rows.num_rows:
            for position, error in enumerate(rows["error"].to_pylist()):
                if error:
                    keys[position] = None
        return pa.array(keys, KEY.type)

    def row_set(self, store: RunStore) -> RowSet:
        """Return the rows of this stage in a store."""
        return open_rows(
            store,
            self.name,
            self.fingerprint,
            self.schema,
        )


def _short_place(place: str) -> str:
    """Return a place below the working directory as people write it, else its name."""
    path = Path(place)
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return path.name
