"""A cache of tables in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

import pyarrow as pa


class TableCache:
    """The tables used last, as many as fit into `max_bytes`; at least one.

    Safe to share between threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # The one unused for longest comes first.
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()

    def __contains__(self, path: str) -> bool:
        return path in self._tables

    def get(self, path: str) -> pa.Table | None:
        """Return the table of a path; `None` if it is not cached."""
        with self._lock:
            table = self._tables.get(path)
            if table is not None:
                self._tables.move_to_end(path)
            return table

    def put(
        self,
        path: str,
        table: pa.Table,
    ) -> None:
        """Cache a table, and drop those unused for longest until the rest fits."""
        with self._lock:
            self.forget(path)
            self._tables[path] = table
            self._bytes += table.nbytes
            # A table above the limit stays alone: it was put to be read next.
            while self._bytes > self._max_bytes and len(self._tables) > 1:
                _, oldest = self._tables.popitem(last=False)
                self._bytes -= oldest.nbytes

    def forget(self, path: str) -> None:
        """Drop the table of a path, if it is cached."""
        with self._lock:
            table = self._tables.pop(path, None)
            if table is not None:
                self._bytes -= table.nbytes
