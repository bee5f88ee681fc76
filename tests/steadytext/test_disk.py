"""The layout of the generation cache on disk: what is trusted, and what leaves
first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.steadytext.disk import (
    DATABASE,
    bytes_disk,
    check_lock,
    decode_entry,
    disk_errors,
    encode_entry,
    open_store,
)

diskcache = pytest.importorskip("diskcache")

ENTRY = {
    "tokens": [1, 2, 3],
    "text": "naïve 🙂",
    "logprobs": [-0.1, -1e-300, float("-inf")],
}
KEYS = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)
ENTRIES = st.dictionaries(st.text(), JSON, max_size=4)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """An empty store, with room for a mebibyte."""
    with contextlib.closing(open_store(tmp_path, size_limit=1 << 20)) as opened:
        yield opened


@contextlib.contextmanager
def database(folder: str | Path) -> Iterator[sqlite3.Connection]:
    """The store's database as another program sees it."""
    with contextlib.closing(
        sqlite3.connect(Path(folder) / DATABASE, isolation_level=None)
    ) as connection:
        yield connection


# Entries as bytes


@given(KEYS, ENTRIES)
def test_entry_comes_back_as_it_was(key: str, entry: dict[str, Any]) -> None:
    """Any JSON object comes back from its bytes, under any key."""
    assert entry == decode_entry(key, encode_entry(key, entry))


@given(KEYS, ENTRIES)
def test_bytes_do_not_depend_on_the_order_of_keys(
    key: str, entry: dict[str, Any]
) -> None:
    """Equal entries have equal bytes."""
    backwards = dict(reversed(entry.items()))

    assert encode_entry(key, entry) == encode_entry(key, backwards)


@given(KEYS, KEYS)
def test_entry_under_another_key_is_a_miss(first: str, second: str) -> None:
    """Bytes that are whole but were stored under another key are not this key's."""
    found = decode_entry(second, encode_entry(first, ENTRY))

    assert (found is not None) == (first == second)


def test_key_and_payload_do_not_run_into_each_other() -> None:
    """A byte moved from the payload to the key makes another checksum."""
    data = encode_entry("key", {"text": "x"})
    checksum, payload = data[:16], data[16:]
    moved = f"key{payload[:1].decode()}"

    assert None is decode_entry(moved, checksum + payload[1:])


def test_entry_is_compressed_where_it_pays() -> None:
    """A repetitive entry takes a fraction of its text; what does not shrink is readable
    JSON behind a checksum of 16 bytes.
    """
    long = encode_entry("long", {"text": "again and " * 1000})
    short = encode_entry("short", {"text": "x"})

    assert len(long) < 500
    assert b"z" == long[16:17]
    assert b'j{"text":"x"}' == short[16:]


def test_what_json_cannot_hold_is_refused() -> None:
    """Bytes and sets are the caller's mistake."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        encode_entry("key", {"text": b"bytes"})


@pytest.mark.parametrize("entry", [ENTRY, {"text": "again and " * 20}])
def test_any_flipped_bit_is_a_miss(entry: dict[str, Any]) -> None:
    """Whichever bit of the bytes flips, the entry is not believed."""
    data = encode_entry("key", entry)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert None is decode_entry("key", bytes(flipped))

    assert entry == decode_entry("key", data)


def test_any_cut_is_a_miss() -> None:
    """Bytes that end early, or late, are not believed."""
    data = encode_entry("key", ENTRY)

    for length in range(len(data)):
        assert None is decode_entry("key", data[:length])
    assert None is decode_entry("key", data + b" ")


def test_bytes_of_an_entry_are_the_same_in_every_release() -> None:
    """Entries that an earlier release kept are found again."""
    payload = b'j{"text":"x"}'
    content = b"themis/generation/1\n3\nkey" + payload
    checksum = hashlib.blake2b(content, digest_size=16).digest()

    assert checksum + payload == encode_entry("key", {"text": "x"})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"j",
        b"j[1]",
        b"jnull",
        b"j{",
        b"j\xff",
        b"j" + b"[" * 100_000,
        b"zno zlib",
    ],
    ids=lambda payload: repr(payload[:9]),
)
def test_checksum_alone_makes_no_entry(payload: bytes) -> None:
    """A payload with a right checksum is a miss unless it is a JSON object: a checksum
    is no signature.
    """
    content = b"themis/generation/1\n3\nkey" + payload
    checksum = hashlib.blake2b(content, digest_size=16).digest()

    assert None is decode_entry("key", checksum + payload)


# The store


class Bomb:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("size", [100, 200_000])
def test_bytes_come_back_whatever_their_size(store: Any, size: int) -> None:
    """Large values are in files beside the database, small ones in it."""
    data = os.urandom(size)

    store.set("key", data)

    assert data == store.get("key")
    assert (size > 100_000) == any(Path(store.directory).rglob("*.val"))


def test_half_a_surrogate_pair_is_a_key(store: Any) -> None:
    """SQLite cannot hold it; an escape stands for it."""
    store.set("\ud83e", b"half")

    assert b"half" == store.get("\ud83e")


@pytest.mark.parametrize("key", [("key",), 5, b"key", None])
def test_other_keys_are_refused(store: Any, key: object) -> None:
    """diskcache would pickle a key that is no text."""
    with pytest.raises(TypeError, match="the key of a generation is a text, not"):
        store.set(key, b"data")


def test_other_values_are_refused(store: Any) -> None:
    """diskcache would pickle a value that is not bytes."""
    with pytest.raises(TypeError):
        store.set("key", {"text": "x"})

    assert None is store.get("key")


@pytest.mark.parametrize("in_file", [False, True])
def test_a_pickle_is_a_miss_and_never_run(
    store: Any, tmp_path: Path, in_file: bool
) -> None:
    """A pickle that someone put in the database or in a value file does nothing."""
    store.set("key", b"data")
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    (tmp_path / "bomb.val").write_bytes(bomb)
    value = (4, "bomb.val", None) if in_file else (4, None, bomb)
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET mode = ?, filename = ?, value = ?", value)

    assert None is store.get("key")
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb)
    assert (tmp_path / "exploded").exists()  # the bomb was live


def test_a_pickle_stored_through_diskcache_is_a_miss(
    store: Any, tmp_path: Path
) -> None:
    """So is one that another program stored with diskcache itself, under a pickled key
    too.
    """
    store.set("key", b"data")
    with diskcache.Cache(str(tmp_path)) as other:
        other.set("key", Bomb(tmp_path / "exploded"))
        other.set(("key",), Bomb(tmp_path / "exploded"))

    assert None is store.get("key")
    assert None in list(store.iterkeys())
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("mode", [0, 2, 3, 4, 99])
def test_other_modes_are_a_miss(store: Any, tmp_path: Path, mode: int) -> None:
    """Only bytes are read, from the database or from a file."""
    store.set("key", b"data")
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET mode = ?", (mode,))

    assert None is store.get("key")


def test_disk_class_is_made_once() -> None:
    """All stores of a process share one class."""
    assert bytes_disk() is bytes_disk()
    assert issubclass(bytes_disk(), diskcache.Disk)


def test_each_use_counts_for_less(store: Any, tmp_path: Path) -> None:
    """The credit of an entry grows with its uses, by an eighth of what is missing to
    thirty days.
    """
    for uses, key in ((0, "none"), (1, "one"), (8, "eight"), (200, "many")):
        store.set(key, b"data")
        for _ in range(uses):
            store.get(key)
    with database(tmp_path) as connection:
        rows = connection.execute(
            "SELECT key, (access_time - store_time) / 86400.0 FROM Cache"
        ).fetchall()

    assert {"none": 0.0, "one": 3.75, "eight": 19.69, "many": 30.0} == {
        key: round(days, 2) for key, days in rows
    }


def test_credit_is_spent_as_time_passes(store: Any, tmp_path: Path) -> None:
    """A use of an entry whose credit is spent counts as much as its first use."""
    store.set("key", b"data")
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET access_time = 0")
    store.get("key")
    with database(tmp_path) as connection:
        (days,) = connection.execute(
            "SELECT (access_time - store_time) / 86400.0 FROM Cache"
        ).fetchone()

    assert 3.75 == round(days, 2)


def test_least_credit_is_evicted_first(tmp_path: Path) -> None:
    """Past the limit entries go in the order of last use plus credit."""
    with contextlib.closing(open_store(tmp_path, size_limit=1 << 18)) as store:
        for number in range(8):
            store.set(f"{number}", os.urandom(20_000))
        store.get("0")
        for number in range(8, 16):
            store.set(f"{number}", os.urandom(20_000))
        store.cull()
        kept = set(store.iterkeys())

    assert {"0", "15"} <= kept
    assert "1" not in kept


def test_store_evicts_only_when_it_is_told(tmp_path: Path) -> None:
    """`cull` evicts until the limit holds; storing alone evicts nothing."""
    with contextlib.closing(open_store(tmp_path, size_limit=1 << 16)) as store:
        for number in range(20):
            store.set(f"{number}", os.urandom(10_000))
        before = len(store)
        store.cull()
        after = len(store)

    assert 20 == before
    assert after < 7


# Trouble


def test_lock_of_another_process_is_reported(tmp_path: Path) -> None:
    """A database that another connection holds is an error of SQLite, which is one of
    the disk's errors.
    """
    check_lock(tmp_path)
    with database(tmp_path) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
            check_lock(tmp_path)

    assert isinstance(caught.value, disk_errors())


def test_check_of_the_lock_leaves_it_free(tmp_path: Path) -> None:
    """The check makes an empty database, and holds nothing afterwards."""
    check_lock(tmp_path)

    with database(tmp_path) as connection:
        assert [] == connection.execute("SELECT * FROM sqlite_master").fetchall()
        connection.execute("BEGIN EXCLUSIVE")


@pytest.mark.parametrize("error", [OSError, sqlite3.DatabaseError, "Timeout"])
def test_disk_errors_are_those_of_three_sources(error: type[Exception] | str) -> None:
    """The disk's own, SQLite's and diskcache's; a mistake in the code is none."""
    kind = getattr(diskcache, error) if isinstance(error, str) else error

    assert issubclass(kind, disk_errors())
    assert not issubclass(TypeError, disk_errors())


def test_settings_of_another_program_are_reported(tmp_path: Path) -> None:
    """A database whose settings are not diskcache's is an error of SQLite that says
    so.
    """
    open_store(tmp_path, size_limit=1 << 20).close()
    with database(tmp_path) as connection:
        connection.execute("INSERT INTO Settings VALUES (x'ff', 1)")

    with pytest.raises(sqlite3.DatabaseError, match="not those of a cache"):
        open_store(tmp_path, size_limit=1 << 20)
