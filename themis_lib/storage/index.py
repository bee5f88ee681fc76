"""Indexes from keys, or other numbers, to places, in sixteen bytes each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.identity.digests import KEY_BYTES

Numbers = npt.NDArray[np.uint64]
Locators = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]

#: Scanning numbers takes about a tenth of sorting them: an index that is asked more often
#: sorts what it scanned.
_MOST_SCANS = 8
#: Places of a sieve for each number that is looked up: so few others come through.
_SIEVE_PLACES = 32


class NumberIndex:
    """A map from numbers of 64 random bits to locators; for one added twice the first
    stays.

    Numbers are kept as they are added, and scanned for the few that are looked up. Those
    that were scanned often become a sorted run, merged with those before while it is at
    least as long: n numbers cost O(n log n) in all, and an index that is asked once is
    not sorted at all.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Numbers, Locators]] = []
        self._unsorted: list[_Batch] = []
        self._scans = 0

    def add(
        self,
        numbers: Numbers,
        first: int = 0,
        *,
        is_left_out: _Flags | None = None,
    ) -> None:
        """Add numbers whose locators count from `first` on, but those left out."""
        self._unsorted.append(_Batch(numbers, first, is_left_out))

    def find(self, numbers: Numbers) -> Locators:
        """Return the locator of each number, -1 for one that was not added."""
        located = np.full(len(numbers), -1, dtype=np.int64)
        if not len(numbers) or not (self._unsorted or self._runs):
            return located
        if self._scans >= _MOST_SCANS:
            self._sort()
        self._scans += 1
        order = np.argsort(numbers)
        is_first = _firsts_of(numbers[order])
        wanted = numbers[order][is_first]
        found = np.full(len(wanted), -1, dtype=np.int64)
        sieve = _Sieve(wanted)
        # Older numbers are looked at last and overwrite: the first locator stays.
        for batch in reversed(self._unsorted):
            batch.look_up(wanted, sieve, found)
        for run in reversed(self._runs):
            _look_up(run, wanted, found)
        located[order] = found[np.cumsum(is_first) - 1]
        return located

    def _sort(self) -> None:
        """Make one sorted run of all numbers that are not in one."""
        self._scans = 0
        if not self._unsorted:
            return
        entries = [batch.entries() for batch in self._unsorted]
        self._unsorted = []
        numbers, locators = _sorted_run(entries)
        while self._runs and len(self._runs[-1][0]) <= len(numbers):
            # The older run first, so that its locators stay.
            numbers, locators = _sorted_run([self._runs.pop(), (numbers, locators)])
        if len(numbers):
            self._runs.append((numbers, locators))


class KeyIndex:
    """A map from keys to locators; for a key added twice the first locator stays.

    It has the first eight bytes of a key. Two keys that share these cannot be told apart
    here, so the caller compares the whole key with the row it finds.
    """

    def __init__(self) -> None:
        self._index = NumberIndex()

    def add(
        self,
        keys: pa.Array,
        first: int,
    ) -> None:
        """Add keys, `binary(16)`, whose locators count from `first` on, but nulls."""
        prefixes, is_null = _key_prefixes(keys)
        self._index.add(prefixes, first, is_left_out=is_null)

    def find(self, keys: pa.Array) -> Locators:
        """Return the locator of each key, -1 for a key that was not added."""
        prefixes, is_null = _key_prefixes(keys)
        located = self._index.find(prefixes)
        # Null keys are filled with zeros, which may be the prefix of a key.
        if is_null is not None:
            located[is_null] = -1
        return located


@dataclass(frozen=True)
class _Batch:
    """Numbers in the order in which they were added."""

    numbers: Numbers
    first: int
    is_left_out: _Flags | None

    def entries(self) -> tuple[Numbers, Locators]:
        """Return each number and its locator."""
        locators = np.arange(self.first, self.first + len(self.numbers))
        if self.is_left_out is None:
            return self.numbers, locators
        return self.numbers[~self.is_left_out], locators[~self.is_left_out]

    def look_up(
        self,
        wanted: Numbers,
        sieve: _Sieve,
        found: Locators,
    ) -> None:
        """Write the locator of each number that is wanted into its place in `found`."""
        positions = sieve.positions(self.numbers)
        if self.is_left_out is not None:
            positions = positions[~self.is_left_out[positions]]
        # The first of equal numbers is written last.
        positions = positions[::-1]
        numbers = self.numbers[positions]
        at = np.searchsorted(wanted, numbers)
        # A number above all that are wanted would be looked up past their end.
        at = np.minimum(at, len(wanted) - 1)
        is_wanted = wanted[at] == numbers
        found[at[is_wanted]] = self.first + positions[is_wanted]


class _Sieve:
    """Tells most numbers from those that are wanted, by their first bits."""

    def __init__(self, wanted: Numbers) -> None:
        bits = (_SIEVE_PLACES * len(wanted)).bit_length()
        self._shift = np.uint64(64 - bits)
        self._is_wanted = np.zeros(1 << bits, dtype=bool)
        self._is_wanted[wanted >> self._shift] = True

    def positions(self, numbers: Numbers) -> Locators:
        """Return the positions of those that may be wanted."""
        return np.flatnonzero(self._is_wanted[numbers >> self._shift])


def _look_up(
    run: tuple[Numbers, Locators],
    wanted: Numbers,
    found: Locators,
) -> None:
    """Write the locators that a run has into the places of their numbers in `found`."""
    numbers, locators = run
    at = np.searchsorted(numbers, wanted)
    at = np.minimum(at, len(numbers) - 1)
    is_same = numbers[at] == wanted
    found[is_same] = locators[at[is_same]]


def _key_prefixes(keys: pa.Array) -> tuple[Numbers, _Flags | None]:
    """Return the first eight bytes of each key, and which keys are null if any is."""
    is_null = None
    if keys.null_count:
        is_null = keys.is_null().to_numpy(zero_copy_only=False)
        keys = keys.fill_null(b"\0" * KEY_BYTES)
    _, data = keys.buffers()
    # The buffer is that of the whole array, of which `keys` may be a slice.
    start = keys.offset
    end = start + len(keys)
    halves = np.frombuffer(data, dtype=np.uint64)[2 * start : 2 * end]
    return halves[::2], is_null


def _sorted_run(
    entries: list[tuple[Numbers, Locators]],
) -> tuple[Numbers, Locators]:
    """Return all entries sorted by number, with the first locator of each number."""
    numbers = np.concatenate([numbers for numbers, _ in entries])
    locators = np.concatenate([locators for _, locators in entries])
    order = np.argsort(numbers)
    is_first = _firsts_of(numbers[order])
    if not is_first.all():
        # Only a stable sort, which takes four times as long, keeps the first of equals.
        order = np.argsort(numbers, kind="stable")[is_first]
    return numbers[order], locators[order]


def _firsts_of(ordered: Numbers) -> _Flags:
    """Return which of some sorted numbers differ from the one before."""
    is_first = np.ones(len(ordered), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return is_first
