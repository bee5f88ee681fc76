"""Journals on filesystems without append or locks: a part every few seconds.

Writers in one process know of each other's claims; those of other processes are not
known, whose rows are found once they are in a part.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol
from weakref import WeakKeyDictionary

import pyarrow as pa

from themis_lib.storage.journal import Journal, OthersRows, Record
from themis_lib.storage.tables import table_of

#: The least time between two parts: each takes a request, and is a file to clean up.
_REMOTE_INTERVAL_S = 2.0


class ProcessClaims:
    """Which journals of this process have claimed which rows of one directory."""

    def __init__(self) -> None:
        #: Held while somebody looks what is free and claims it.
        self.lock = threading.RLock()
        self.writers: dict[bytes, PartJournal] = {}
        # When each store's writers last left rows to others, by the monotonic clock.
        self._ended_at: WeakKeyDictionary[LooseRows, float] = WeakKeyDictionary()

    def end(
        self,
        journal: PartJournal,
        rows: LooseRows,
    ) -> None:
        """Forget what a journal has claimed, whose rows are those of one store."""
        with self.lock:
            for key in journal.claimed:
                self.writers.pop(key, None)
            journal.claimed.clear()
            self._ended_at[rows] = time.monotonic()

    def ended_elsewhere(self, rows: LooseRows) -> float:
        """Return when writers of other stores last left rows; a store knows its own."""
        with self.lock:
            ends = [at for store, at in self._ended_at.items() if store is not rows]
        return max(ends, default=0.0)


# Process-wide: two stores of one address know of each other's writers.
_CLAIMS: dict[str, ProcessClaims] = {}


def claims_in_process(address: str) -> ProcessClaims:
    """Return the claims of this process on the rows at an address."""
    return _CLAIMS.setdefault(address, ProcessClaims())


class LooseRows(Protocol):
    """The rows of one stage, as a journal of parts uses them."""

    schema: pa.Schema

    @property
    def address(self) -> str:
        """Where they are, for all stores of this process."""

    def write_loose(self, table: pa.Table) -> str:
        """Write rows that do not make a complete shard, and return their path."""

    def learn(self, paths: Sequence[str]) -> None:
        """Add files that this process wrote to those that are known."""

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files of rows."""


class PartJournal(Journal):
    """A journal of parts, one an interval."""

    def __init__(
        self,
        rows: LooseRows,
        *,
        interval_s: float,
    ) -> None:
        super().__init__(interval_s=max(interval_s, _REMOTE_INTERVAL_S))
        self.claimed: set[bytes] = set()
        self._rows = rows
        self._claims = claims_in_process(rows.address)
        self._paths: list[str] = []

    def claim(self, keys: Sequence[bytes]) -> None:
        with self._claims.lock:
            self.claimed.update(keys)
            self._claims.writers.update(dict.fromkeys(keys, self))

    def release(self, keys: Sequence[bytes]) -> None:
        with self._claims.lock:
            self.claimed.difference_update(keys)
            for key in keys:
                self._claims.writers.pop(key, None)

    def others(self, wanted: AbstractSet[bytes]) -> OthersRows:
        with self._claims.lock:
            writers = self._claims.writers
            claimed = {key for key in wanted if writers.get(key, self) is not self}
        return OthersRows(claimed, [])

    def share(self) -> None:
        self.flush()
        self._rows.learn(self._paths)
        self._claims.end(self, self._rows)

    def _write_records(self, records: Sequence[Record]) -> None:
        table = table_of(records, self._rows.schema)
        path = self._rows.write_loose(table)
        self._paths.append(path)

    def close(self) -> None:
        try:
            self.flush()
            self._rows.learn(self._paths)
        finally:
            self._claims.end(self, self._rows)

    def discard(self) -> None:
        self._pending = []
        try:
            self._rows.remove(self._paths)
        finally:
            self._claims.end(self, self._rows)
