"""Where the row of each key lies: a `KeyIndex` is a dict that keeps the first
locator.
"""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.storage.index import KeyIndex

KEY = pa.binary(16)

#: Keys told apart by their first half; the few, so that batches repeat them.
FEW_KEYS = st.integers(0, 40).map(lambda number: number.to_bytes(8, "big") * 2)
KEYS = FEW_KEYS | st.binary(min_size=8, max_size=8).map(lambda half: half * 2)
BATCHES = st.lists(st.lists(KEYS | st.none(), max_size=30), max_size=12)


def index_of(batches: list[list[bytes | None]]) -> KeyIndex:
    """An index of batches whose locators count all keys from 0."""
    index, start = KeyIndex(), 0
    for keys in batches:
        index.add(pa.array(keys, KEY), start)
        start += len(keys)
    return index


@given(BATCHES, st.lists(KEYS | st.none(), max_size=30))
def test_index_is_a_dict_that_keeps_the_first(
    batches: list[list[bytes | None]], others: list[bytes | None]
) -> None:
    """Every key is found at its first locator, in whatever batch it came; other keys,
    and null, at -1.
    """
    everything = [key for keys in batches for key in keys]
    first: dict[bytes | None, int] = {}
    for locator, key in enumerate(everything):
        first.setdefault(key, locator)
    first.pop(None, None)
    wanted = [*everything, *others]

    found = index_of(batches).find(pa.array(wanted, KEY))

    assert [first.get(key, -1) for key in wanted] == found.tolist()


@given(BATCHES, st.integers(1, 12))
def test_index_that_is_asked_in_between_finds_the_same(
    batches: list[list[bytes | None]], times: int
) -> None:
    """However often it was asked before, and so whatever of it is sorted by then."""
    everything = [key for keys in batches for key in keys]
    wanted = pa.array(everything, KEY)
    index, start = KeyIndex(), 0
    for keys in batches:
        index.add(pa.array(keys, KEY), start)
        start += len(keys)
        for _ in range(times):
            index.find(wanted)

    assert index_of(batches).find(wanted).tolist() == index.find(wanted).tolist()


@given(BATCHES, st.integers(0, 30), st.integers(0, 30))
def test_slices_are_looked_up_by_their_own_keys(
    batches: list[list[bytes | None]], start: int, length: int
) -> None:
    """A slice of a longer array is added and found like the keys it shows."""
    everything = pa.array([key for keys in batches for key in keys], KEY)
    part = everything.slice(min(start, len(everything)), length)
    copied = pa.array(part.to_pylist(), KEY)
    index, expected = KeyIndex(), KeyIndex()

    index.add(part, 7)
    expected.add(copied, 7)

    assert expected.find(copied).tolist() == index.find(part).tolist()


def test_nulls_are_left_out() -> None:
    """A null key has no row, and does not stand for the key of zeros."""
    index = index_of([[None, b"\1" * 16]])

    assert [-1, -1, 1] == index.find(
        pa.array([None, b"\0" * 16, b"\1" * 16], KEY)
    ).tolist()


def test_nothing_is_found_in_nothing() -> None:
    """An empty index, and an empty batch, find nothing and break nothing."""
    index = index_of([[]])

    assert [] == index.find(pa.array([], KEY)).tolist()
    assert [-1] == index.find(pa.array([b"k" * 16], KEY)).tolist()


def test_keys_that_share_eight_bytes_share_a_locator() -> None:
    """Only the first eight bytes are compared: the caller compares the key with the row
    it finds.
    """
    key, collision = b"12345678aaaaaaaa", b"12345678bbbbbbbb"
    index = index_of([[key]])

    index.add(pa.array([collision], KEY), 9)

    assert [0, 0] == index.find(pa.array([key, collision], KEY)).tolist()


def test_many_small_batches_are_all_found() -> None:
    """Ten thousand batches of one key each are one index."""
    keys = [number.to_bytes(16, "big")[::-1] for number in range(10_000)]

    index = index_of([[key] for key in keys])

    assert list(range(10_000)) == index.find(pa.array(keys, KEY)).tolist()
