"""Claims: of writers at once, each row has one."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.storage.test_journal import (
    DIRECTORY,
    SCHEMA,
    journals,
    key,
    kill,
    records,
    rows_of,
    told,
)
from tests.support.stores import OpenStore
from themis_lib import InMemoryRunStore, RunStore
from themis_lib.errors import StoreError
from themis_lib.storage.claims import Taken, take_rows
from themis_lib.storage.journal import Journal
from themis_lib.storage.rows import RowSet
from themis_lib.storage.tables import KEY, table_of

#: Claims three rows, finishes the first, says so, and waits to be killed.
WRITER = """
import sys, time
from tests.storage.test_claims import key, records, rows_of, take, writer
from themis_lib import RunStore
rows, journal = writer(RunStore(sys.argv[1]))
take(rows, journal, range(3))
journal.append(records(0))
print("claimed", flush=True)
time.sleep(60)
"""


def writer(store: RunStore) -> tuple[RowSet, Journal]:
    """Rows as one process sees them, and its journal."""
    rows = rows_of(store)
    return rows, rows.journal(interval_s=0)


def take(
    rows: RowSet, journal: Journal, numbers: Iterable[int], *, most: int = 100
) -> Taken:
    return take_rows(rows, journal, [key(number) for number in numbers], most=most)


def finished(taken: Taken) -> dict[int, str]:
    """The values of the rows that somebody has finished, by number."""
    numbers = [int.from_bytes(found[:8], "big") for found in _keys(taken.finished)]
    return dict(zip(numbers, taken.finished["value"].to_pylist(), strict=True))


def _keys(table: pa.Table) -> list[bytes]:
    return list(table["key"].to_pylist())


def test_each_row_is_claimed_by_one_writer(open_store: OpenStore) -> None:
    """On every filesystem, by writers of one process with a store each."""
    one, other = writer(open_store()), writer(open_store())

    first = take(*one, range(5), most=3)
    second = take(*other, reversed(range(5)))

    assert [key(0), key(1), key(2)] == first.claimed
    assert [key(4), key(3)] == second.claimed
    assert (0, 3) == (first.others, second.others)
    assert 0 == first.finished.num_rows == second.finished.num_rows


@pytest.mark.parametrize("end", ["close", "discard", "release", "share"])
def test_rows_that_nobody_computes_any_more_are_free(
    open_store: OpenStore, end: str
) -> None:
    """A writer that ends, or gives rows up, leaves them to others: finished ones as
    rows, the others to be claimed.
    """
    one, other = writer(open_store()), writer(open_store())
    take(*one, range(3))
    journal = one[1]
    journal.append(records(0))
    if end == "release":
        journal.release([key(1), key(2)])
        journal.share()
    elif end == "share":
        journal.release([key(1), key(2)])
        journal.share()
        journal.close()
    else:
        getattr(journal, end)()

    taken = take(*other, range(3))

    kept = [] if end == "discard" else [0]
    assert kept == list(finished(taken))
    assert [key(number) for number in range(3) if number not in kept] == taken.claimed
    assert 0 == taken.others


def test_published_rows_are_not_claimed(open_store: OpenStore) -> None:
    """What is in a shard by now is found, also where a look at the folder is slow."""
    one, other = writer(open_store()), writer(open_store())
    take(*one, range(2))
    take(*other, range(2))
    one[0].publish("shard", _table(0, 1))
    one[1].discard()

    taken = take(*other, range(3))

    assert {0: "value 0 ü", 1: "value 1 ü"} == finished(taken)
    assert [key(2)] == taken.claimed


def _table(*numbers: int) -> pa.Table:
    return table_of(records(*numbers), pa.schema([KEY, *SCHEMA]))


def test_finished_rows_of_a_live_writer_are_found(tmp_path: Path) -> None:
    """Nobody waits for the end of another's shard: its journal has the row."""
    one = writer(RunStore(str(tmp_path)))
    other = writer(RunStore(str(tmp_path)))
    take(*one, range(3))
    before = take(*other, range(3))
    one[1].append(records(0, 1))

    taken = take(*other, range(3))

    assert (3, 1) == (before.others, taken.others)
    assert {0: "value 0 ü", 1: "value 1 ü"} == finished(taken)
    assert [] == taken.claimed


def test_rows_of_a_live_writer_that_nobody_asked_for_stay_unread(
    tmp_path: Path,
) -> None:
    """Only the rows that are wanted come out of another's journal."""
    one = writer(RunStore(str(tmp_path)))
    other = writer(RunStore(str(tmp_path)))
    take(*one, range(10))
    one[1].append(records(*range(10)))

    taken = take(*other, [3, 20])

    assert {3: "value 3 ü"} == finished(taken)
    assert [key(20)] == taken.claimed


def test_claims_of_a_killed_writer_are_free_at_once(tmp_path: Path) -> None:
    """While it lives they hold; after `kill -9` the next look takes over what it had
    claimed, and finds what it had finished.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    told(process)
    other = writer(RunStore(str(tmp_path)))

    while_alive = take(*other, range(3))
    kill(process)
    afterwards = take(*other, range(3))

    assert ({0: "value 0 ü"}, 2, []) == (
        finished(while_alive),
        while_alive.others,
        while_alive.claimed,
    )
    assert ({0: "value 0 ü"}, 0) == (finished(afterwards), afterwards.others)
    assert [key(1), key(2)] == afterwards.claimed


def test_journal_of_claims_alone_leaves_nothing(tmp_path: Path) -> None:
    """A writer that finished no row leaves no file for others to clean up."""
    rows, journal = writer(RunStore(str(tmp_path)))
    take(rows, journal, range(3))
    before = len(journals(tmp_path))

    journal.close()

    assert (1, []) == (before, journals(tmp_path))


def test_half_a_line_of_a_live_writer_is_read_later(tmp_path: Path) -> None:
    """A line is read once it is whole, in one piece."""
    one = writer(RunStore(str(tmp_path)))
    other = writer(RunStore(str(tmp_path)))
    take(*one, range(2))
    (path,) = journals(tmp_path)
    line = b'{"value":"later","key":"%s"}\n' % key(0).hex().encode()
    with path.open("ab", buffering=0) as file:
        file.write(line[:20])
        half = take(*other, range(2))
        file.write(line[20:])
    whole = take(*other, range(2))

    assert ({}, 2) == (finished(half), half.others)
    assert ({0: "later"}, 1) == (finished(whole), whole.others)


def test_nobody_waits_for_a_process_that_stands_still(tmp_path: Path) -> None:
    """While another process holds the folder's lock, the one who asks is told so: it
    has requests in flight, and asks again.
    """
    rows, journal = writer(RunStore(str(tmp_path)))
    take(rows, journal, [0])
    with (tmp_path / DIRECTORY / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(BlockingIOError):
            take(rows, journal, [1])

    assert [key(1)] == take(rows, journal, [1]).claimed


def test_claims_end_although_parts_cannot_be_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that fails at the end of a shard keeps nobody waiting."""
    store = InMemoryRunStore()
    (rows, first), (others, second) = writer(store), writer(store)
    assert [key(0)] == take(rows, first, [0]).claimed

    def fail(paths: Iterable[str]) -> None:
        raise StoreError("unreachable")

    monkeypatch.setattr(rows, "remove", fail)
    with pytest.raises(StoreError):
        first.discard()

    assert [key(0)] == take(others, second, [0]).claimed


def test_journal_of_others_is_read_line_by_line(tmp_path: Path) -> None:
    """It may be as large as its shard: to look at it takes no memory of its size."""
    mine, theirs = (writer(RunStore(str(tmp_path))) for _ in range(2))
    text = "x" * 100_000
    theirs[1].append([{"key": key(at), "value": text} for at in range(100, 150)])

    tracemalloc.start()
    try:
        taken = take(*mine, range(3))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 3 == len(taken.claimed)
    assert peak_bytes < 10 * len(text)
