"""The cache of tables: which stay, and which are dropped."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from themis_lib.storage.table_cache import TableCache


def table_of(size: int) -> pa.Table:
    """Return a table of so many bytes."""
    return pa.table({"value": np.zeros(size, dtype=np.int8)})


def cached(cache: TableCache) -> str:
    """Return the paths of one letter that are cached."""
    return "".join(path for path in "abcd" if path in cache)


def test_table_is_the_one_that_was_put() -> None:
    """A cached table is returned itself, and a path that was not put has none."""
    cache = TableCache(100)
    table = table_of(10)

    cache.put("a", table)

    assert cache.get("a") is table
    assert cache.get("b") is None


def test_tables_unused_for_longest_are_dropped() -> None:
    """A table that does not fit beside the others displaces those unused for longest."""
    cache = TableCache(100)
    for path in "abc":
        cache.put(path, table_of(30))

    cache.get("a")
    cache.put("d", table_of(40))

    assert "acd" == cached(cache)


def test_a_table_above_the_limit_stays_alone() -> None:
    """The newest table stays whatever its size."""
    cache = TableCache(100)
    cache.put("a", table_of(10))

    cache.put("b", table_of(1000))

    assert "b" == cached(cache)


def test_a_table_put_twice_counts_once() -> None:
    """The second table of a path takes the place of the first."""
    cache = TableCache(100)
    cache.put("a", table_of(10))
    for _ in range(5):
        cache.put("b", table_of(50))

    assert "ab" == cached(cache)


def test_forgotten_tables_leave_room() -> None:
    """A table that is forgotten is not counted; forgetting another path is a no-op."""
    cache = TableCache(100)
    cache.put("a", table_of(60))
    cache.put("b", table_of(40))

    cache.forget("a")
    cache.forget("none")
    cache.put("c", table_of(60))

    assert "bc" == cached(cache)
