"""The contract of a store, on a local folder, in memory and on a real S3 server."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.stores import OpenStore, wait_for_the_clock
from themis_lib import InMemoryRunStore, RunStore, StoreError
from themis_lib.identity.part import Part
from themis_lib.runs.find_run import find_run
from themis_lib.storage.part_files import parquet_bytes
from themis_lib.storage.rows import open_rows
from themis_lib.storage.store import open_store as open_url
from themis_lib.storage.tables import column_digests

THREADS = 16
TABLE = pa.table(
    {
        "key": pa.array([b"k" * 16, b"l" * 16], pa.binary(16)),
        "value": pa.array(["a", None]),
    }
)
OTHER = pa.table(
    {"key": pa.array([b"m" * 16], pa.binary(16)), "value": pa.array(["b"])}
)


def test_create_writes_once(store: RunStore) -> None:
    """The first writer of a path wins; a second is told so and changes nothing."""
    assert [True, False] == [
        store.create("rows/a.bin", b"first"),
        store.create("rows/a.bin", b"second"),
    ]
    assert b"first" == store.read_bytes("rows/a.bin")


def test_create_has_one_winner_among_threads(open_store: OpenStore) -> None:
    """Of sixteen threads that create one path at once, one wins, and its bytes are
    there whole.
    """
    store = open_store()
    contents = [bytes([number]) * 10_000 for number in range(THREADS)]

    with ThreadPoolExecutor(THREADS) as threads:
        won = list(
            threads.map(
                lambda content: store.create("rows/contested", content), contents
            )
        )

    assert 1 == sum(won)
    assert contents[won.index(True)] == open_store().read_bytes("rows/contested")


def test_create_loses_nothing_among_threads(open_store: OpenStore) -> None:
    """Files that sixteen threads create at once in one directory are all there, each
    with its own content.
    """
    store = open_store()
    names = [f"file-{number:03d}" for number in range(4 * THREADS)]

    with ThreadPoolExecutor(THREADS) as threads:
        won = list(
            threads.map(lambda name: store.create(f"rows/{name}", name.encode()), names)
        )

    assert all(won)
    assert names == sorted(open_store().list("rows"))
    assert [name.encode() for name in names] == [
        open_store().read_bytes(f"rows/{name}") for name in names
    ]


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads take turns after every microsecond, so that what can go wrong between
    them does.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_memory_is_safe_between_threads(frequent_switches: None) -> None:
    """In memory, too, a contested path has one winner, and listing while others remove
    is no error.
    """
    for _ in range(20):
        store = InMemoryRunStore()
        store.create("rows/stays", b"")

        def contend(number: int) -> tuple[bool, bool]:
            won = store.create("rows/contested", b"x")  # noqa: B023 - called in this round
            store.create(f"rows/goes-{number}", b"x")  # noqa: B023
            store.remove(f"rows/goes-{number}")  # noqa: B023
            return won, "stays" in store.list("rows")  # noqa: B023

        with ThreadPoolExecutor(THREADS) as threads:
            outcomes = list(threads.map(contend, range(THREADS)))

        assert 1 == sum(won for won, _ in outcomes)
        assert all(listed for _, listed in outcomes)


def test_reading_and_listing_while_others_write(open_store: OpenStore) -> None:
    """Threads that read and list while others create and remove see whole files, and
    all that stay.
    """
    store = open_store()
    stays = [f"stays-{number}" for number in range(4)]
    for name in stays:
        store.create(f"rows/{name}", name.encode() * 1000)

    def write(number: int) -> None:
        store.create(f"rows/goes-{number}", b"x")
        store.remove(f"rows/goes-{number}")

    def read(number: int) -> tuple[set[str], bytes]:
        return set(store.list("rows")), store.read_bytes(f"rows/{stays[number % 4]}")

    with ThreadPoolExecutor(THREADS) as threads:
        writing = [threads.submit(write, number) for number in range(60)]
        read_back = list(threads.map(read, range(60)))
        for future in writing:
            future.result()

    assert all(set(stays) <= names for names, _ in read_back)
    assert [stays[number % 4].encode() * 1000 for number in range(60)] == [
        content for _, content in read_back
    ]


def test_replace_replaces(store: RunStore) -> None:
    """The last writer of a replaced file wins, and nothing else is left beside it."""
    store.replace("runs/r/manifest.json", b"one")
    store.replace("runs/r/manifest.json", b"two")

    assert b"two" == store.read_bytes("runs/r/manifest.json")
    assert ["manifest.json"] == list(store.list("runs/r"))


def test_list_is_oldest_first(store: RunStore) -> None:
    """Files are listed by the time they were written, whatever their names."""
    for name in ("b", "c", "a"):
        if name != "b":
            wait_for_the_clock(store)
        store.create(f"rows/{name}", name.encode())

    assert ["b", "c", "a"] == list(store.list("rows"))


def test_missing_directory_is_empty(store: RunStore) -> None:
    """A directory that nothing was written to lists as empty."""
    assert {} == store.list("rows/parse/none")


def test_missing_file_is_missing(store: RunStore) -> None:
    """A path that nothing was written to does not exist, reads as null and is removed
    without complaint.
    """
    store.remove("rows/none.parquet")

    assert not store.exists("rows/none.parquet")
    assert store.read_table("rows/none.parquet") is None
    assert store.read_keys("rows/none.parquet") is None
    assert store.read_part("rows/none.parquet") is None
    with pytest.raises(FileNotFoundError):
        store.read_bytes("rows/none.parquet")


def test_removed_file_is_gone(store: RunStore) -> None:
    """A removed table is not there any more, neither on the filesystem nor in the
    reader's memory.
    """
    store.create_part("rows/a.parquet", TABLE)

    store.remove("rows/a.parquet")

    assert not store.exists("rows/a.parquet")
    assert store.read_table("rows/a.parquet") is None


def test_part_round_trips(open_store: OpenStore) -> None:
    """Another reader gets the table that was written, and the reference that the writer
    got.
    """
    part = open_store().create_part("rows/a.parquet", TABLE)
    reader = open_store()

    assert part == Part(path="rows/a.parquet", rows=2, columns=column_digests(TABLE))
    assert part == reader.read_part("rows/a.parquet")
    assert TABLE == reader.read_table("rows/a.parquet")
    assert (
        TABLE["key"].to_pylist() == open_store().read_keys("rows/a.parquet").to_pylist()
    )


def test_create_part_returns_what_is_there(open_store: OpenStore) -> None:
    """Whoever comes second gets the reference to the first table, and reads it."""
    first = open_store().create_part("rows/a.parquet", TABLE)
    second = open_store()

    assert first == second.create_part("rows/a.parquet", OTHER)
    assert TABLE == second.read_table("rows/a.parquet")


def test_create_part_among_threads_gives_one_reference(open_store: OpenStore) -> None:
    """Sixteen writers of one part, each with a table of its own, all get one reference:
    to what is there.
    """
    tables = [pa.table({"value": [f"table-{number}"]}) for number in range(THREADS)]

    with ThreadPoolExecutor(THREADS) as threads:
        parts = list(
            threads.map(
                lambda table: open_store().create_part("rows/a.parquet", table), tables
            )
        )

    assert [open_store().read_part("rows/a.parquet")] * THREADS == parts


def test_replace_part_replaces(open_store: OpenStore) -> None:
    """A replaced table is the new one, for its writer and for everyone."""
    store = open_store()
    store.replace_part("runs/r/a.parquet", TABLE)

    part = store.replace_part("runs/r/a.parquet", OTHER)

    assert column_digests(OTHER) == part.columns
    assert OTHER == store.read_table("runs/r/a.parquet")
    assert OTHER == open_store().read_table("runs/r/a.parquet")


def test_keep_part_keeps_what_is_there(open_store: OpenStore) -> None:
    """A part whose path names its content is written once."""
    written = open_store().keep_part("rows/cases/a.parquet", TABLE)
    before = open_store().list("rows/cases")

    assert written == open_store().keep_part("rows/cases/a.parquet", TABLE)
    assert before == open_store().list("rows/cases")


def test_held_file_is_read_where_it_is(open_store: OpenStore) -> None:
    """A file at hand is read as it was written, one known to be missing is missing, and
    removal is not hidden.
    """
    store = open_store()
    for name in ("a", "b", "c"):
        store.replace(f"runs/{name}", b"stored")

    store.hold({"runs/a": b"at hand", "runs/b": b"at hand", "runs/d": None})
    store.remove("runs/b")

    assert [b"at hand", b"stored"] == [
        store.open(f"runs/{name}").read() for name in ("a", "c")
    ]
    for name in ("b", "d"):
        with pytest.raises(FileNotFoundError):
            store.open(f"runs/{name}")
    store.hold({})
    assert b"stored" == store.open("runs/a").read()


def random_table() -> pa.Table:
    """Numbers that do not compress, so that a changed byte is a changed number and
    nothing else.
    """
    return pa.table({"value": np.random.default_rng(0).random(64)})


def flipped(content: bytes) -> bytes:
    """Parquet bytes in which the last byte of the only column's pages is another."""
    column = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    at = start + column.total_compressed_size - 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-1],
    "no Parquet": lambda content: b"nothing like it" * 10,
    "one byte flipped": flipped,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_part_is_set_aside(
    open_store: OpenStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that cannot be read is reported and renamed, and stands in nobody's
    way.
    """
    content = parquet_bytes(random_table())
    writer = open_store()
    writer.replace("rows/a.parquet", DAMAGES[damage](content))
    reader = open_store()

    with caplog.at_level(logging.WARNING, "themis_lib.store"):
        table = reader.read_table("rows/a.parquet")

    assert table is None
    assert ["a.parquet.damaged"] == list(reader.list("rows"))
    warnings = [
        record.getMessage()
        for record in caplog.records
        if record.name == "themis_lib.store"
    ]
    assert 1 == len(warnings)
    assert warnings[0].startswith(
        f"set aside a file that cannot be read: {reader.uri('rows/a.parquet')} ("
    )
    assert reader.create("rows/a.parquet", content)


def test_flipped_byte_would_pass_without_checksums() -> None:
    """Parquet alone does not notice the flipped byte of the test above: the checksum of
    the page does.
    """
    content = parquet_bytes(random_table())

    table = pq.read_table(pa.BufferReader(flipped(content)))

    assert random_table() != table


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_keys_are_set_aside(open_store: OpenStore, damage: str) -> None:
    """Reading the keys alone finds the same damage."""
    keys = np.random.default_rng(0).bytes(16 * 64)
    table = pa.table(
        {
            "key": pa.array(
                [keys[at : at + 16] for at in range(0, len(keys), 16)], pa.binary(16)
            )
        }
    )
    open_store().replace("rows/a.parquet", DAMAGES[damage](parquet_bytes(table)))
    reader = open_store()

    found = reader.read_keys("rows/a.parquet")

    assert found is None
    assert ["a.parquet.damaged"] == list(reader.list("rows"))


def test_damaged_part_is_written_anew(open_store: OpenStore) -> None:
    """A part that comes to where a damaged one lies takes its place."""
    open_store().replace("rows/a.parquet", b"damaged")

    part = open_store().create_part("rows/a.parquet", TABLE)

    assert part == open_store().read_part("rows/a.parquet")
    assert TABLE == open_store().read_table("rows/a.parquet")


def test_file_that_cannot_be_opened_is_not_damaged(tmp_path: Path) -> None:
    """A read that fails for another reason than the content is an error, and leaves the
    file where it is.
    """
    store = RunStore(str(tmp_path))
    (tmp_path / "rows" / "a.parquet").mkdir(parents=True)

    with pytest.raises(IsADirectoryError):
        store.read_table("rows/a.parquet")
    with pytest.raises(OSError, match="is a directory"):
        store.read_keys("rows/a.parquet")

    assert ["a.parquet"] == list(store.list("rows"))


def test_folders_may_look_like_partitions(tmp_path: Path) -> None:
    """A store in a folder such as `key=1` has the columns of its tables and no
    others.
    """
    path = str(tmp_path / "key=1" / "value=2")
    RunStore(path).create_part("rows/a.parquet", TABLE)
    reader = RunStore(path)

    assert TABLE["key"].to_pylist() == reader.read_keys("rows/a.parquet").to_pylist()
    assert TABLE == reader.read_table("rows/a.parquet")


def test_cache_is_bounded(tmp_path: Path) -> None:
    """A reader keeps about 256 MiB of tables, the ones used last, and the newest
    whatever its size.
    """
    store = RunStore(str(tmp_path))
    for name, rows in {"a": 10, "b": 10, "c": 10, "d": 12}.items():
        store.replace_part(
            f"{name}.parquet", pa.table({"value": np.zeros(rows * 2**20)})
        )  # 80 and 96 MiB
        store.read_table("a.parquet")
    for name in "abcd":
        (tmp_path / f"{name}.parquet").unlink()

    assert {"a": True, "b": False, "c": True, "d": True} == {
        name: store.read_table(f"{name}.parquet") is not None for name in "abcd"
    }


def test_store_is_checked_for_writing(store: RunStore) -> None:
    """A store that can be written passes its check, which leaves nothing behind."""
    store.check_writable()

    assert {} == {
        name: entry
        for name, entry in store.list("runs").items()
        if entry["type"] == "file"
    }


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A store below a regular file is one clear error."""
    (tmp_path / "file").write_text("")
    store = RunStore(str(tmp_path / "file" / "store"))

    with pytest.raises(
        StoreError, match=r"^store '.*/file/store' cannot be written: .*$"
    ):
        store.check_writable()


@pytest.mark.parametrize("url", ["nowhere://bucket/store", "s4://bucket"])
def test_unknown_protocol_is_refused(url: str) -> None:
    """A URL of no known filesystem is one clear error that names the URL."""
    with pytest.raises(StoreError, match=f"^store '{url}': "):
        RunStore(url)


def test_messages_do_not_show_what_logs_in() -> None:
    """Neither what stands before the host nor the query of a URL."""
    store = RunStore("memory://me:swordfish@host/a@b?sig=swordfish")

    with pytest.raises(StoreError) as failure:
        find_run(store, "last")

    assert "RunStore('memory://host/a@b')" == repr(store)
    assert "swordfish" not in str(failure.value)


def test_misspelt_bucket_is_refused(s3_options: dict[str, str]) -> None:
    """A bucket that does not exist is one clear error, and is not created."""
    store = RunStore("s3://no-such-bucket/store", s3_options)

    for _ in range(2):
        with pytest.raises(
            StoreError, match=r"^store 's3://no-such-bucket/store' cannot be written: "
        ):
            store.check_writable()


def test_stores_in_memory_are_separate() -> None:
    """Every store in memory is a store of its own."""
    one, other = InMemoryRunStore(), open_url("memory")

    one.create("rows/a", b"a")

    assert isinstance(other, InMemoryRunStore)
    assert one.exists("rows/a")
    assert not other.exists("rows/a")


def test_folder_may_be_relative_to_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may be written with `~`, and is another store than `memory`."""
    monkeypatch.setenv("HOME", str(tmp_path))

    open_url("~/evaluations").create("rows/a", b"a")

    assert b"a" == (tmp_path / "evaluations" / "rows" / "a").read_bytes()


def test_address_is_for_people(tmp_path: Path, s3_options: dict[str, str]) -> None:
    """The address of a file is a path on a local disk, and a URL elsewhere."""
    assert f"{tmp_path}/runs/r" == RunStore(str(tmp_path)).uri("runs/r")
    assert "s3://themis/x/runs/r" == RunStore("s3://themis/x", s3_options).uri("runs/r")


def test_rows_are_one_object(store: RunStore) -> None:
    """A store has one set of rows for a stage and a fingerprint, so that its index is
    built once.
    """
    schema = pa.schema([("value", pa.string())])

    assert open_rows(store, "parse", "f" * 32, schema) is open_rows(
        store, "parse", "f" * 32, schema
    )
    assert open_rows(store, "parse", "f" * 32, schema) is not open_rows(
        store, "parse", "e" * 32, schema
    )


def test_freed_table_is_read_again(tmp_path: Path) -> None:
    """On disks, where that is cheap: a file that is gone is missing."""
    store = RunStore(str(tmp_path))
    store.replace_part("a.parquet", pa.table({"value": [1]}))

    store.free("a.parquet")

    assert [1] == store.read_table("a.parquet")["value"].to_pylist()
    store.free("a.parquet")
    (tmp_path / "a.parquet").unlink()
    assert None is store.read_table("a.parquet")


def test_table_that_takes_a_request_is_not_freed() -> None:
    """It is read from memory, as any table of such a store."""
    store = InMemoryRunStore()
    store.replace_part("a.parquet", pa.table({"value": [1]}))
    store.fs.rm_file(store.locate("a.parquet"))

    store.free("a.parquet")

    assert [1] == store.read_table("a.parquet")["value"].to_pylist()
