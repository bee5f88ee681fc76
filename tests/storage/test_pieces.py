"""Shards most of whose rows another file holds."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from themis_lib import InMemoryRunStore, RunStore
from themis_lib.identity.part import Part
from themis_lib.storage.pieces import (
    PIECES_SUFFIX,
    Piece,
    Pieces,
    is_piecemeal,
    pieces_of,
)
from themis_lib.storage.rows import RowSet
from themis_lib.storage.tables import KEY, column_digests

DIRECTORY = "rows/parse/f"
SCHEMA = pa.schema([("value", pa.string()), ("error", pa.string())])


def rows_of(store: RunStore) -> RowSet:
    return RowSet(store, DIRECTORY, SCHEMA)


def table(*numbers: int) -> pa.Table:
    """A row for each number, its value the number itself."""
    keys = pa.array([number.to_bytes(8, "big") * 2 for number in numbers], KEY.type)
    values = pa.array([str(number) for number in numbers])
    nulls = pa.nulls(len(numbers), pa.string())
    return pa.table([keys, values, nulls], schema=pa.schema([KEY, *SCHEMA]))


def edited(count: int, *changed: int) -> list[int]:
    """The first numbers, those at some places with another row."""
    return [1000 + n if n in changed else n for n in range(count)]


def values(store: RunStore, part: Part) -> list[str]:
    found = store.read_table(part.path)
    assert found is not None
    return found["value"].to_pylist()


def test_edited_shard_is_written_as_its_new_rows(tmp_path: Path) -> None:
    """It reads as any other, in another process too, with the same digests; the file
    beside it has only the rows that are new.
    """
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(64)))
    wanted = table(*edited(64, 3, 40))

    part = rows_of(store).publish("second", wanted)

    assert part.path.endswith(PIECES_SUFFIX)
    assert (64, column_digests(wanted)) == (part.rows, part.columns)
    again = RunStore(str(tmp_path))
    assert part == rows_of(again).shard("second")
    found = again.read_table(part.path)
    assert found is not None
    assert wanted.equals(found.replace_schema_metadata(None))
    some = RunStore(str(tmp_path)).read_columns(part.path, ["value", "no such"])
    assert some is not None
    assert wanted.select(["value"]).equals(some.replace_schema_metadata(None))
    assert [2, 64] == sorted(
        again.count_rows(f"{DIRECTORY}/{name}") for name in rows_of(again).names()
    )


class ReadingStore(RunStore):
    """A store that notes which files are read and which directories listed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.read: list[str] = []
        self.listed: list[str] = []

    def read_bytes(self, path: str) -> bytes:
        content = super().read_bytes(path)
        self.read.append(path)
        return content

    def list(self, directory: str) -> dict[str, dict[str, Any]]:
        self.listed.append(directory)
        return super().list(directory)


def test_edited_shard_is_read_from_one_file_of_rows(tmp_path: Path) -> None:
    """The few rows that are new are in the list of pieces, too, and no directory, which
    every run makes longer, is listed.
    """
    store = RunStore(str(tmp_path))
    base = rows_of(store).publish("first", table(*range(64)))
    part = rows_of(store).publish("second", table(*edited(64, 3)))
    again = ReadingStore(store.url)

    assert part == rows_of(again).shard("second")

    assert [part.path, base.path] == again.read
    assert [] == again.listed


def test_many_new_rows_are_read_from_their_file(tmp_path: Path) -> None:
    """A list of pieces stays small: of rows that take many bytes it has none."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(64)))
    digits = random.Random(0).choices("0123456789abcdef", k=50_000)
    wanted = table(*edited(64, 3)).set_column(
        1, "value", pa.array([*"abc", "".join(digits), *map(str, range(60))])
    )
    rows_of(store).publish("third", wanted.slice(0, 4))

    part = rows_of(store).publish("second", wanted)

    joined = Pieces.from_bytes(store.read_bytes(part.path))
    assert (2, None) == (len(joined.files), joined.last)
    found = RunStore(store.url).read_table(part.path)
    assert found is not None
    assert 50_000 == len(found["value"][3].as_py())


def test_list_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It had no rows: all of them are in files."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(64)))
    part = rows_of(store).publish("second", table(*edited(64, 3)))
    joined = Pieces.from_bytes(store.read_bytes(part.path))
    assert joined.last is not None
    store.replace(part.path, replace(joined, last=None).to_bytes())

    again = RunStore(store.url)

    assert part == rows_of(again).shard("second")
    assert [str(number) for number in edited(64, 3)] == values(again, part)


def test_edit_after_edit_reads_two_files(tmp_path: Path) -> None:
    """However often a shard was edited, it is one large file and one small."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("0", table(*range(64)))

    for edit in range(1, 8):
        numbers = edited(64, *range(edit))
        part = rows_of(store).publish(str(edit), table(*numbers))
        assert [str(number) for number in numbers] == values(store, part)
        joined = Pieces.from_bytes(store.read_bytes(part.path))
        assert 2 == len(joined.files)
    part = rows_of(store).publish("much", table(*edited(64, *range(40))))
    assert part.path.endswith(".parquet")


def test_moved_and_repeated_rows_are_pieces(tmp_path: Path) -> None:
    """Rows in another order, some of them twice, take no file of rows."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(64)))
    moved = [*range(32, 64), *range(32), 5, 5]

    part = rows_of(store).publish("moved", table(*moved))

    assert [str(number) for number in moved] == values(RunStore(store.url), part)
    assert ["first.parquet"] == rows_of(store).names()


def test_scattered_rows_are_written_whole(tmp_path: Path) -> None:
    """A shard in an order without runs is a file of its own."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(900)))

    part = rows_of(store).publish("scattered", table(*range(0, 900, 2)))

    assert part.path.endswith(".parquet")


def test_first_row_of_a_key_wins_in_pieces_too(tmp_path: Path) -> None:
    """A row that was there is in the shard, whatever its table says."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(64)))
    other = table(*edited(64, 1)).set_column(1, "value", pa.array(["other"] * 64))

    part = rows_of(store).publish("second", other)

    assert ["0", "other", "2"] == values(store, part)[:3]
    assert column_digests(table(0))["error"] != part.columns["value"]


def test_late_rows_of_the_same_keys_are_no_pieces(tmp_path: Path) -> None:
    """A file of a process that died may have other rows of exactly the new keys."""
    store = RunStore(str(tmp_path))
    rows = rows_of(store)
    rows.publish("first", table(*range(64)))
    rows.publish("few", table(1003))
    late = table(1003).set_column(1, "value", pa.array(["late"]))
    rows.write_loose(late)

    part = rows.publish("second", table(*edited(64, 3)))

    assert [str(n) for n in edited(64, 3)] == values(RunStore(store.url), part)


def test_pieces_hold_the_rows_of_the_shard(tmp_path: Path) -> None:
    """Where the file in which rows were found is lost before they are published, another
    may have other rows of their keys.
    """
    store = RunStore(str(tmp_path))
    rows = rows_of(store)
    base = rows.publish("first", table(*range(64)))
    late = table(*range(64)).set_column(1, "value", pa.array(["late"] * 64))
    rows.save(late)
    wanted = table(*edited(64, 3))
    known, _ = rows.find(wanted["key"].combine_chunks())
    store.remove(base.path)
    # Another shard notices first.
    rows.find(wanted["key"].combine_chunks())

    part = rows.publish("second", wanted, known=known)

    found = RunStore(store.url).read_table(part.path)
    assert found is not None
    assert part.columns == column_digests(found)


def test_pieces_are_of_files_that_are_there(tmp_path: Path) -> None:
    """What another process removed is written anew while it is in memory here."""
    store = RunStore(str(tmp_path))
    rows = rows_of(store)
    base = rows.publish("first", table(*range(64)))
    rows.publish("second", table(*edited(64, 3)))
    RunStore(store.url).remove(base.path)

    part = rows.publish("third", table(*edited(64, 5)))

    assert [str(n) for n in edited(64, 5)] == values(RunStore(store.url), part)


def test_rows_without_a_key_are_not_pieces(tmp_path: Path) -> None:
    """Nor are those of stores where a file takes requests."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(64)))
    skipped = pa.table(
        [pa.nulls(1, KEY.type), pa.nulls(1, pa.string()), pa.array(["generate: no"])],
        schema=pa.schema([KEY, *SCHEMA]),
    )
    memory = InMemoryRunStore()
    rows_of(memory).publish("first", table(*range(64)))

    with_null = pa.concat_tables([table(*range(63)), skipped])
    for place, wanted in ((store, with_null), (memory, table(*edited(64, 1)))):
        part = rows_of(place).publish("second", wanted)
        assert part.path.endswith(".parquet")


@pytest.mark.parametrize("damage", ["gone", "new ones gone", "other rows", "no list"])
def test_shard_whose_rows_are_gone_is_set_aside(tmp_path: Path, damage: str) -> None:
    """It is missing then, and published anew."""
    store = RunStore(str(tmp_path))
    base = rows_of(store).publish("first", table(*range(64)))
    part = rows_of(store).publish("second", table(*edited(64, 3)))
    if damage == "gone":
        store.remove(base.path)
    elif damage == "new ones gone":
        (loose,) = (name for name in rows_of(store).names() if RowSet.is_loose(name))
        store.remove(f"{DIRECTORY}/{loose}")
    elif damage == "other rows":
        store.replace_part(base.path, table(*range(1, 65)))
    else:
        store.replace(part.path, b"{}")

    again = RunStore(store.url)
    assert rows_of(again).shard("second") is None
    anew = rows_of(again).publish("second", table(*edited(64, 3)))

    assert [str(n) for n in edited(64, 3)] == values(RunStore(store.url), anew)
    assert f"second{PIECES_SUFFIX}.damaged" in again.list(DIRECTORY)


def test_pieces_are_runs_of_rows() -> None:
    """Rows next to each other in the same file are one piece, however many they are."""
    assert (Piece(0, 0, 5000),) == pieces_of(np.zeros(5000, int), np.arange(5000))
    assert pieces_of(np.zeros(5000, int), np.arange(5000)[::-1].copy()) is None
    assert is_piecemeal(8, 64)
    assert not is_piecemeal(9, 64)


def test_changed_list_is_refused(tmp_path: Path) -> None:
    """One digit more or less would be other rows."""
    store = RunStore(str(tmp_path))
    rows_of(store).publish("first", table(*range(64)))
    part = rows_of(store).publish("second", table(*edited(64, 3)))
    content = store.read_bytes(part.path)
    store.replace(part.path, content.replace(b"[0,4,60]", b"[0,3,60]"))

    assert b"[0,4,60]" in content
    assert RunStore(store.url).read_part(part.path) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"columns":1,"files":2}'])
def test_what_is_no_list_is_refused(content: bytes) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"."):
        Pieces.from_bytes(content)
