"""Journals of shards in progress: rows are stored as they finish, so that a crash
repeats only what was in flight.

On a filesystem with locks a journal is a file that its writer keeps locked
(`local_journal.py`), elsewhere a part every few seconds (`part_journal.py`). A journal
also says which rows its writer is computing, so that others leave them to it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

#: A row as a stage made it: its `key` is 16 bytes, every other value JSON.
Record = Mapping[str, Any]


@dataclass(frozen=True)
class OthersRows:
    """What other writers have claimed, and the records of it that they have finished."""

    claimed: AbstractSet[bytes]
    finished: Sequence[Record]


class Journal(ABC):
    """The rows of a shard in progress.

    `append` them, then `discard` the journal once the shard is published, or `close` it
    to leave them to the next run. Rows are claimed before they are computed; a claim
    ends with the journal, or when it is released.
    """

    def __init__(self, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self._pending: list[Record] = []
        self._flushed_at = time.monotonic()

    def append(self, records: Sequence[Record]) -> None:
        """Add rows, `key` included, and store them if the interval has passed."""
        self._pending.extend(records)
        elapsed_s = time.monotonic() - self._flushed_at
        if elapsed_s >= self.interval_s:
            self.flush()

    def flush(self) -> None:
        """Store every row appended so far."""
        if self._pending:
            # Pending until written: a write that fails is repeated with the next rows.
            self._write_records(self._pending)
            self._pending = []
        self._flushed_at = time.monotonic()

    @abstractmethod
    def claim(self, keys: Sequence[bytes]) -> None:
        """Tell other writers that the rows of these keys are being computed.

        Only `claims.take_rows` may call it, which sees to it that nobody else does.
        """

    @abstractmethod
    def release(self, keys: Sequence[bytes]) -> None:
        """Take back claims of rows that were not computed after all."""

    @abstractmethod
    def others(self, wanted: AbstractSet[bytes]) -> OthersRows:
        """Return what the other writers have of the rows that are wanted.

        The rows that are wanted may become fewer from call to call, never others.
        """

    @abstractmethod
    def share(self) -> None:
        """Let other writers have every row appended so far."""

    @abstractmethod
    def _write_records(self, records: Sequence[Record]) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Store every row and leave the journal to its next reader."""

    @abstractmethod
    def discard(self) -> None:
        """Remove the journal: its rows are in a published shard."""
