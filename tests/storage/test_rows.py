"""The rows of one stage, by key: the same for every reader, whatever happens to the
files.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stores import OpenStore, wait_for_the_clock
from themis_lib import InMemoryRunStore, RunStore
from themis_lib.storage.rows import RowSet, open_rows
from themis_lib.storage.tables import ERROR, KEY

SCHEMA = pa.schema([("value", pa.string()), ERROR])
DIRECTORY = f"rows/parse/{'f' * 32}"


def rows_of(store: RunStore) -> RowSet:
    return open_rows(store, "parse", "f" * 32, SCHEMA)


def key(number: int) -> bytes:
    return number.to_bytes(8, "little") * 2


def keys(*numbers: int | None) -> pa.Array:
    return pa.array(
        [None if number is None else key(number) for number in numbers], KEY.type
    )


def table(values: Mapping[int, str]) -> pa.Table:
    """A row for each number, under the number's key."""
    return pa.table(
        [
            keys(*values),
            pa.array(values.values(), pa.string()),
            pa.nulls(len(values), pa.string()),
        ],
        schema=pa.schema([KEY, *SCHEMA]),
    )


def found(row_set: RowSet, *numbers: int) -> dict[int, str]:
    """What a reader finds for the numbers' keys, by number."""
    positions, rows = row_set.find(keys(*numbers))
    return {
        numbers[at]: value
        for at, value in zip(positions.tolist(), rows["value"].to_pylist(), strict=True)
    }


def forget(store: RunStore, name: str) -> None:
    """Delete a file behind the back of a store's rows; what they know of it is all they
    have.
    """
    store.remove(f"{DIRECTORY}/{name}.parquet")


def test_published_rows_are_found(open_store: OpenStore) -> None:
    """Rows of a published shard are found by key, by every reader."""
    rows_of(open_store()).publish("shard", table({1: "a", 2: "b"}))
    reader = rows_of(open_store())
    reader.refresh()

    positions, rows = reader.find(keys(9, 2, None, 1, 2))

    assert [1, 3, 4] == positions.tolist()
    assert [key(2), key(1), key(2)] == rows["key"].to_pylist()
    assert ["b", "a", "b"] == rows["value"].to_pylist()
    assert pa.schema([KEY, *SCHEMA]) == rows.schema


def test_nothing_is_found_in_an_empty_set(store: RunStore) -> None:
    """Before anything is written nothing is found, and the rows found have the columns
    all the same.
    """
    positions, rows = rows_of(store).find(keys(1, None))

    assert [] == positions.tolist()
    assert 0 == rows.num_rows
    assert pa.schema([KEY, *SCHEMA]) == rows.schema


def test_shard_is_the_reference_that_publish_returned(open_store: OpenStore) -> None:
    """A complete shard has one reference; it is null until the shard is published, by
    whomever.
    """
    reader = rows_of(open_store())
    before = reader.shard("shard")

    part = rows_of(open_store()).publish("shard", table({1: "a"}))
    reader.refresh()

    assert before is None
    assert part == reader.shard("shard")
    assert part.path == reader.path("shard")


def test_first_row_wins(open_store: OpenStore) -> None:
    """Of two writers of one key the first wins, in the shard of the second and for
    every reader.
    """
    first, second = rows_of(open_store()), rows_of(open_store())
    second.refresh()

    first.publish("one", table({1: "first", 2: "first"}))
    part = second.publish("two", table({2: "second", 3: "second"}))

    assert {2: "first", 3: "second"} == {
        2: open_store().read_table(part.path)["value"][0].as_py(),
        3: open_store().read_table(part.path)["value"][1].as_py(),
    }
    for reader in (first, second, rows_of(open_store())):
        reader.refresh()
        assert {1: "first", 2: "first", 3: "second"} == found(reader, 1, 2, 3)


def test_first_row_wins_over_own_loose_rows(open_store: OpenStore) -> None:
    """Rows that a writer saved after somebody else's do not win because the writer
    knows them first.
    """
    first, second = rows_of(open_store()), rows_of(open_store())
    second.refresh()

    first.publish("one", table({1: "first"}))
    wait_for_the_clock(open_store())
    second.save(table({1: "second"}))
    part = second.publish("two", table({1: "second"}))

    assert ["first"] == open_store().read_table(part.path)["value"].to_pylist()


def test_same_shard_is_published_once(open_store: OpenStore) -> None:
    """Who publishes a shard that is there gets the reference to that one."""
    part = rows_of(open_store()).publish("shard", table({1: "first"}))

    assert part == rows_of(open_store()).publish("shard", table({1: "second"}))


def test_refresh_sees_what_others_wrote(open_store: OpenStore) -> None:
    """A reader learns of other writers' files when it looks again."""
    reader = rows_of(open_store())
    reader.refresh()
    rows_of(open_store()).publish("shard", table({1: "a"}))

    reader.refresh()

    assert {1: "a"} == found(reader, 1)
    assert ["shard.parquet"] == reader.names()


def test_saved_rows_are_found(open_store: OpenStore) -> None:
    """Rows that make no complete shard are found too, at once by who saved them."""
    writer = rows_of(open_store())

    path = writer.save(table({1: "a", 2: "b"}))
    again = writer.save(table({1: "a", 2: "b"}))

    assert path == again
    assert {1: "a", 2: "b"} == found(writer, 1, 2, 3)
    assert 1 == len(rows_of(open_store()).names())
    assert RowSet.is_loose(rows_of(open_store()).names()[0])


def test_many_small_files_are_one_set(open_store: OpenStore) -> None:
    """Rows are found across many small files, in the order asked for."""
    writer = rows_of(open_store())
    for number in range(0, 40, 2):
        writer.save(table({number: str(number), number + 1: str(number + 1)}))
    reader = rows_of(open_store())
    reader.refresh()
    wanted = [*range(39, -1, -1), 77]

    positions, rows = reader.find(keys(*wanted))

    assert list(range(40)) == positions.tolist()
    assert [str(number) for number in wanted[:-1]] == rows["value"].to_pylist()


def test_files_without_the_wanted_keys_are_not_read_whole(tmp_path: Path) -> None:
    """An edit asks for a few keys among all of its stage: of other files only the keys
    are read.
    """
    read: list[str] = []

    class ReadingStore(RunStore):
        def read_bytes(self, path: str) -> bytes:
            read.append(path)
            return super().read_bytes(path)

    shards = RowSet(RunStore(str(tmp_path)), DIRECTORY, SCHEMA)
    for shard in range(12):
        numbers = range(100 * shard, 100 * shard + 100)
        shards.publish(f"shard-{shard}", table({n: str(n) for n in numbers}))
    row_set = RowSet(ReadingStore(str(tmp_path)), DIRECTORY, SCHEMA)
    row_set.refresh()

    assert {250: "250", 251: "251", 699: "699"} == found(row_set, 250, 251, 5000, 699)

    names = [path.rpartition("/")[2] for path in read]
    assert ["shard-2.parquet", "shard-6.parquet"] == sorted(names)


def test_row_published_since_the_look_wins(open_store: OpenStore) -> None:
    """Another process may compute a row while this one does. Rows that were found before
    stay, and are not looked up again.
    """
    rows_of(open_store()).publish("first", table({1: "a", 2: "b"}))
    row_set = rows_of(open_store())
    row_set.refresh()
    known, _ = row_set.find(keys(2, 3, 1, 4))
    rows_of(open_store()).publish("second", table({3: "theirs"}))
    # Where files have no locks, an older listing serves for a while.
    row_set.refresh()
    mine = table({2: "b", 3: "mine", 1: "a", 4: "d"})

    part = row_set.publish("third", mine, known=known)

    assert [0, 2] == known.tolist()
    stored = open_store().read_table(part.path)
    assert stored is not None
    assert ["b", "theirs", "a", "d"] == stored["value"].to_pylist()


def test_keys_are_compared_whole(store: RunStore) -> None:
    """A key that shares its first eight bytes with another's has no row, never the
    other's.
    """
    writer = rows_of(store)
    writer.publish("shard", table({1: "a"}))
    writer.refresh()

    positions, _ = writer.find(pa.array([key(1)[:8] + b"another-"], KEY.type))

    assert [] == positions.tolist()


def test_deleted_part_is_looked_up_no_more(store: RunStore) -> None:
    """When a part is deleted behind its back, a reader finds the rows of the others."""
    reader = rows_of(store)
    reader.publish("one", table({1: "a", 2: "b"}))
    reader.publish("two", table({3: "c"}))
    reader.refresh()
    before = found(reader, 1, 2, 3)

    forget(store, "one")

    assert {1: "a", 2: "b", 3: "c"} == before
    assert {3: "c"} == found(reader, 1, 2, 3)
    assert reader.shard("one") is None


def test_rows_of_a_deleted_part_are_found_elsewhere(store: RunStore) -> None:
    """A row that a deleted part shared with another is found in the other."""
    reader = rows_of(store)
    reader.publish("one", table({1: "a"}))
    reader.publish("two", table({1: "a", 2: "b"}))
    reader.refresh()
    reader.find(keys(1))

    forget(store, "one")

    assert {1: "a", 2: "b"} == found(reader, 1, 2)


def test_deleted_shard_is_published_anew(store: RunStore) -> None:
    """A shard whose file is gone is null, and can be written again."""
    writer = rows_of(store)
    part = writer.publish("shard", table({1: "a"}))
    forget(store, "shard")

    gone = writer.shard("shard")
    again = writer.publish("shard", table({1: "a"}))
    writer.refresh()

    assert gone is None
    assert part == again
    assert {1: "a"} == found(writer, 1)


@pytest.mark.parametrize("content", [b"", b"damaged", b"PAR1" * 100])
def test_damaged_part_is_looked_up_no_more(store: RunStore, content: bytes) -> None:
    """A part that was damaged since is set aside; the rows of others are found, and it
    can be written again.
    """
    reader = rows_of(store)
    reader.publish("one", table({1: "a", 2: "b"}))
    reader.publish("two", table({3: "c"}))
    reader.refresh()
    reader.find(keys(1))

    forget(store, "one")
    store.replace(f"{DIRECTORY}/one.parquet", content)

    assert {3: "c"} == found(reader, 1, 2, 3)
    assert reader.shard("one") is None
    assert store.exists(f"{DIRECTORY}/one.parquet.damaged")
    assert 1 == reader.publish("one", table({1: "again"})).rows


def test_damaged_part_is_not_indexed(open_store: OpenStore) -> None:
    """A part that is damaged when a reader first sees it is set aside, and stops
    nothing.
    """
    rows_of(open_store()).publish("two", table({3: "c"}))
    open_store().replace(f"{DIRECTORY}/one.parquet", b"damaged")
    reader = rows_of(open_store())
    reader.refresh()

    assert {3: "c"} == found(reader, 1, 3)
    assert open_store().exists(f"{DIRECTORY}/one.parquet.damaged")


def test_other_files_are_no_rows(open_store: OpenStore) -> None:
    """Temporary files, files set aside and locks are not read."""
    store = open_store()
    for name in (
        ".lock",
        ".one.parquet.tmp",
        ".hidden.parquet",
        "one.parquet.damaged",
        "notes.txt",
    ):
        store.create(f"{DIRECTORY}/{name}", b"no rows")

    assert [] == rows_of(open_store()).names()
    assert {} == found(rows_of(open_store()), 1)


def test_overlapping_shards_agree_when_published_at_once(tmp_path: Path) -> None:
    """Writers that publish overlapping shards of a folder at the same moment end with
    one row for each key.
    """
    numbers = range(20)

    def publish(writer: int) -> list[str]:
        row_set = rows_of(RunStore(str(tmp_path)))
        row_set.refresh()
        part = row_set.publish(
            f"shard-{writer}", table(dict.fromkeys(numbers, f"writer {writer}"))
        )
        return list(RunStore(str(tmp_path)).read_table(part.path)["value"].to_pylist())

    with ThreadPoolExecutor(8) as threads:
        published = list(threads.map(publish, range(8)))

    assert 1 == len({tuple(values) for values in published})
    assert 1 == len(set(published[0]))


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["publish", "save"]),
        st.integers(0, 1),
        st.dictionaries(
            st.integers(0, 8), st.sampled_from(["a", "b", "c"]), min_size=1
        ),
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(WRITES)
def test_rows_are_a_dict_that_keeps_the_first(
    writes: list[tuple[str, int, dict[int, str]]],
) -> None:
    """However rows are cut into files, every reader finds for each key the row that was
    written first.
    """
    shared = InMemoryRunStore()
    writers = [rows_of(shared), rows_of(RunStore(shared.url))]
    expected: dict[int, str] = {}
    seen: set[tuple[int, ...]] = set()
    for number, (how, writer, values) in enumerate(writes):
        if how == "publish":
            writers[writer].publish(f"shard-{number}", table(values))
        elif (
            tuple(values) not in seen
        ):  # loose rows are named by their keys and written once
            writers[writer].save(table(values))
            seen.add(tuple(values))
        else:
            continue
        expected = {**values, **expected}

    for reader in (*writers, rows_of(RunStore(shared.url))):
        reader.refresh()
        assert expected == found(reader, *range(9))


def test_rows_without_a_later_column_are_found() -> None:
    """A column that an earlier version did not write is null, also in a file that holds
    rows of both versions.
    """
    store = InMemoryRunStore()
    later = pa.schema([("tokens", pa.int64()), *SCHEMA])
    rows_of(store).publish("first", table({1: "a"}))
    row_set = RowSet(store, DIRECTORY, later)
    new = pa.table(
        [keys(1, 2), pa.array([5, 6]), pa.array(["x", "b"]), pa.nulls(2, pa.string())],
        schema=pa.schema([KEY, *later]),
    )

    row_set.publish("second", new)
    positions, rows = row_set.find(keys(1, 2))

    assert [0, 1] == positions.tolist()
    assert [None, 6] == rows["tokens"].to_pylist()
    assert ["a", "b"] == rows["value"].to_pylist()
