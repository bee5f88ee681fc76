"""Journals: rows of a shard in progress survive whatever happens to the process that
computed them.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.stores import OpenStore
from themis_lib import RunStore
from themis_lib.identity.part import Part
from themis_lib.storage.rows import RowSet, open_rows
from themis_lib.storage.tables import ERROR, KEY

SCHEMA = pa.schema([("value", pa.string()), ERROR])
DIRECTORY = f"rows/parse/{'f' * 32}"

#: Appends rows one at a time and says so after each; then it leaves without cleaning
#: up, or waits to be killed.
WRITER = f"""
import os, sys, time
import pyarrow as pa
from themis_lib import RunStore; from themis_lib.storage.rows import open_rows
schema = pa.schema([("value", pa.string()), ("error", pa.string())])
journal = open_rows(RunStore(sys.argv[1]), "parse", "{"f" * 32}", schema).journal(interval_s=0)
for number in range(int(sys.argv[2])):
    journal.append([{{"key": number.to_bytes(8, "big") * 2, "value": f"value {{number}} ü"}}])
    print(number, flush=True)
if sys.argv[3] == "exits":
    os._exit(0)
time.sleep(60)
"""


def rows_of(store: RunStore) -> RowSet:
    return open_rows(store, "parse", "f" * 32, SCHEMA)


def key(number: int) -> bytes:
    return number.to_bytes(8, "big") * 2


def records(*numbers: int) -> list[dict[str, object]]:
    return [{"key": key(number), "value": f"value {number} ü"} for number in numbers]


def found(row_set: RowSet, count: int) -> dict[int, str]:
    """The values found for the keys of 0 to `count` - 1, by number, after a look for
    new files.
    """
    row_set.refresh()
    positions, rows = row_set.find(pa.array(map(key, range(count)), KEY.type))
    return dict(zip(positions.tolist(), rows["value"].to_pylist(), strict=True))


def expected(*numbers: int) -> dict[int, str]:
    return {number: f"value {number} ü" for number in numbers}


def start_writer(
    folder: Path, count: int, *, then: str = "waits"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(count), then],
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> str:
    """The next line that a writer says. Waits for it."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> int:
    """How many lines the writer had said that nobody read yet."""
    process.send_signal(signal.SIGKILL)
    return len(process.communicate()[0].splitlines())


def journals(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.journal"))


@pytest.mark.parametrize("seed", range(3))
def test_rows_survive_sigkill(tmp_path: Path, seed: int) -> None:
    """Every row that was appended before the writer was killed is found, in a part made
    of its journal.
    """
    writer = start_writer(tmp_path, 100_000)
    told(writer)
    time.sleep(random.Random(seed).uniform(0, 0.05))

    reported = 1 + kill(writer)
    written = len(journals(tmp_path)[0].read_bytes().splitlines())
    reader = rows_of(RunStore(str(tmp_path)))

    assert reported <= written <= reported + 1
    assert expected(*range(written)) == found(reader, written + 1)
    assert [] == journals(tmp_path)
    assert expected(*range(written)) == found(
        rows_of(RunStore(str(tmp_path))), written + 1
    )


def test_exactly_what_was_appended_is_found(tmp_path: Path) -> None:
    """No row is lost, none is made up: a writer that appended seven rows left seven."""
    writer = start_writer(tmp_path, 7)
    for _ in range(7):
        told(writer)

    kill(writer)

    assert expected(*range(7)) == found(rows_of(RunStore(str(tmp_path))), 20)


def test_exit_without_cleaning_up_loses_nothing(tmp_path: Path) -> None:
    """A process that leaves through `os._exit` leaves its rows."""
    start_writer(tmp_path, 2, then="exits").communicate()

    assert expected(0, 1) == found(rows_of(RunStore(str(tmp_path))), 3)


def test_journal_of_a_live_process_is_left_alone(tmp_path: Path) -> None:
    """While its writer lives, a journal is nobody else's: readers neither take its rows
    nor remove it.
    """
    writer = start_writer(tmp_path, 3)
    for _ in range(3):
        told(writer)
    reader = rows_of(RunStore(str(tmp_path)))

    while_alive = found(reader, 3), len(journals(tmp_path))
    kill(writer)
    afterwards = found(reader, 3), len(journals(tmp_path))

    assert ({}, 1) == while_alive
    assert (expected(0, 1, 2), 0) == afterwards


def test_journal_of_another_shard_of_this_process_is_left_alone(tmp_path: Path) -> None:
    """Shards in progress in one process do not take each other's journals."""
    row_set = rows_of(RunStore(str(tmp_path)))
    journal = row_set.journal(interval_s=0)
    journal.append(records(0))

    found_meanwhile = found(row_set, 2), found(rows_of(RunStore(str(tmp_path))), 2)
    journal.append(records(1))
    journal.close()

    assert ({}, {}) == found_meanwhile
    assert expected(0, 1) == found(rows_of(RunStore(str(tmp_path))), 2)


@pytest.mark.parametrize(
    "torn",
    [
        b'{"key":"00',
        b'{"value":"no key"}',
        b"\xff\xfe",
        b'{"key":"zz","value":""}',
        b"5",
    ],
)
def test_torn_line_is_ignored(tmp_path: Path, torn: bytes) -> None:
    """A last line that was cut off is no row; those before it are."""
    journal = rows_of(RunStore(str(tmp_path))).journal(interval_s=0)
    journal.append(records(0, 1))
    journal.close()
    with journals(tmp_path)[0].open("ab") as file:
        file.write(torn)

    assert expected(0, 1) == found(rows_of(RunStore(str(tmp_path))), 3)
    assert [] == journals(tmp_path)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_line_cut_anywhere_is_ignored(tmp_path: Path, cut: int) -> None:
    """A journal that ends in the middle of its last line has the rows before it."""
    journal = rows_of(RunStore(str(tmp_path))).journal(interval_s=0)
    journal.append(records(0, 1, 2))
    journal.close()
    path = journals(tmp_path)[0]
    path.write_bytes(path.read_bytes()[: -1 - cut])

    assert expected(0, 1) == found(rows_of(RunStore(str(tmp_path))), 3)


def test_empty_journal_leaves_nothing(tmp_path: Path) -> None:
    """A journal that nothing whole was written to is removed, and no part is made of
    it.
    """
    directory = tmp_path / DIRECTORY
    directory.mkdir(parents=True)
    (directory / "a.journal").write_bytes(b'{"key":')

    assert {} == found(rows_of(RunStore(str(tmp_path))), 1)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_recovered_rows_are_later_than_what_was_published_meanwhile(
    tmp_path: Path,
) -> None:
    """A row that was published before a dead journal was recovered wins, for who
    recovered it and for all.
    """
    journal = rows_of(RunStore(str(tmp_path))).journal(interval_s=0)
    journal.append(records(0, 1))
    published = {
        "key": pa.array([key(0)], KEY.type),
        "value": ["published"],
        "error": pa.nulls(1, pa.string()),
    }
    rows_of(RunStore(str(tmp_path))).publish("shard", pa.table(published))
    journal.close()

    first, later = (found(rows_of(RunStore(str(tmp_path))), 2) for _ in range(2))

    assert {0: "published", **expected(1)} == first
    assert first == later


class _WhileSaving(RunStore):
    """Calls `meanwhile` before it writes a part."""

    meanwhile: Callable[[], None]

    def create_part(self, path: str, table: pa.Table) -> Part:
        self.meanwhile()
        return super().create_part(path, table)


def test_readers_that_recover_at_once_find_the_same_rows(tmp_path: Path) -> None:
    """A reader that comes while another recovers a journal finds its rows, and does
    not take the other for the writer.
    """
    journal = rows_of(RunStore(str(tmp_path))).journal(interval_s=0)
    journal.append(records(0, 1))
    journal.close()
    store = _WhileSaving(str(tmp_path))
    seen: list[dict[int, str]] = []
    store.meanwhile = lambda: seen.append(found(rows_of(RunStore(str(tmp_path))), 2))

    first = found(rows_of(store), 2)

    assert [expected(0, 1)] == seen
    assert expected(0, 1) == first
    assert [] == journals(tmp_path)
    assert 1 == len(list((tmp_path / DIRECTORY).glob("*.parquet")))


class _AfterListing(RunStore):
    """Calls `meanwhile` after it has listed a folder for the first time."""

    meanwhile: Callable[[], None]

    def list(self, directory: str) -> dict[str, dict[str, Any]]:
        names = super().list(directory)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return names


def test_journal_that_another_reader_recovered_after_the_listing_is_found(
    tmp_path: Path,
) -> None:
    """Rows that leave their journal between a reader's listing and its look into the
    journal are found in their part.
    """
    journal = rows_of(RunStore(str(tmp_path))).journal(interval_s=0)
    journal.append(records(0))
    journal.close()
    store = _AfterListing(str(tmp_path))
    store.meanwhile = lambda: rows_of(RunStore(str(tmp_path))).refresh()

    assert expected(0) == found(rows_of(store), 2)


def test_rows_are_safe_after_the_interval(tmp_path: Path) -> None:
    """Rows are on disk at the first append after the interval, not before."""
    journal = rows_of(RunStore(str(tmp_path))).journal(interval_s=0.05)
    journal.append(records(0))
    before = journals(tmp_path)
    time.sleep(0.06)
    journal.append(records(1))

    assert [] == before
    assert 2 == len(journals(tmp_path)[0].read_bytes().splitlines())


def test_closed_journal_is_found(open_store: OpenStore) -> None:
    """On every filesystem, rows of a journal that was closed are found by the next
    reader.
    """
    journal = rows_of(open_store()).journal(interval_s=0)

    journal.append(records(0, 1))
    journal.append(records(2))
    journal.close()

    assert expected(0, 1, 2) == found(rows_of(open_store()), 4)


def test_discarded_journal_leaves_no_file(open_store: OpenStore) -> None:
    """On every filesystem, nothing is left of a journal whose shard was published."""
    journal = rows_of(open_store()).journal(interval_s=0)
    journal.append(records(0, 1))
    journal.flush()
    journal.append(records(2))

    journal.discard()

    files = [
        name
        for name, entry in open_store().list(DIRECTORY).items()
        if entry["type"] == "file"
    ]
    assert [] == files
    assert {} == found(rows_of(open_store()), 4)


def test_journal_without_rows_makes_no_file(open_store: OpenStore) -> None:
    """A journal that nothing was appended to leaves nothing, however it ends."""
    for end in ("close", "discard"):
        journal = rows_of(open_store()).journal(interval_s=0)
        journal.append([])
        getattr(journal, end)()

    assert {} == open_store().list(DIRECTORY)
