"""An index from keys to the places of their rows, in sixteen bytes a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.identity.digests import KEY_BYTES

Prefixes = npt.NDArray[np.uint64]
Locators = npt.NDArray[np.int64]


class KeyIndex:
    """A map from keys to locators; for a key added twice the first locator stays.

    Sorted runs of (first eight bytes of the key, locator), merged while the newest is
    at least as long as the one before it: n keys cost O(n log n) in all. Two keys that
    share eight bytes cannot be told apart here, so the caller compares the whole key
    with the row it finds.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Prefixes, Locators]] = []

    def add(
        self,
        keys: pa.Array,
        locators: Locators,
    ) -> None:
        """Add keys, `binary(16)` or null; null keys are left out."""
        prefixes, known = _key_prefixes(keys)
        prefixes, locators = _sorted_run(prefixes[known], locators[known])
        while self._runs:
            older_prefixes, older_locators = self._runs[-1]
            if len(older_prefixes) > len(prefixes):
                break
            self._runs.pop()
            # The older run first: the sort is stable and keeps the first of equals.
            both_prefixes = np.concatenate([older_prefixes, prefixes])
            both_locators = np.concatenate([older_locators, locators])
            prefixes, locators = _sorted_run(both_prefixes, both_locators)
        if len(prefixes):
            self._runs.append((prefixes, locators))

    def find(self, keys: pa.Array) -> Locators:
        """Return the locator of each key, -1 for a key that was not added."""
        prefixes, known = _key_prefixes(keys)
        located = np.full(len(prefixes), -1, dtype=np.int64)
        # Older runs are looked at last and overwrite: the first row of a key wins.
        for run_prefixes, run_locators in reversed(self._runs):
            at = np.searchsorted(run_prefixes, prefixes)
            # A prefix above all of the run would be looked up past its end.
            at = np.minimum(at, len(run_prefixes) - 1)
            is_same = run_prefixes[at] == prefixes
            # Null keys are filled with zeros, which may be the prefix of a key.
            hit = known & is_same
            located[hit] = run_locators[at[hit]]
        return located


def _key_prefixes(keys: pa.Array) -> tuple[Prefixes, npt.NDArray[np.bool_]]:
    """Return the first eight bytes of each key, and which keys are not null."""
    known = keys.is_valid().to_numpy(zero_copy_only=False)
    filled = keys.fill_null(b"\0" * KEY_BYTES)
    _, data = filled.buffers()
    # The buffer is that of the whole array, of which `keys` may be a slice.
    start = filled.offset
    end = start + len(filled)
    halves = np.frombuffer(data, dtype=np.uint64)[2 * start : 2 * end]
    return halves[::2], known


def _sorted_run(
    prefixes: Prefixes,
    locators: Locators,
) -> tuple[Prefixes, Locators]:
    """Return both sorted by prefix, with the first locator of each prefix."""
    order = np.argsort(prefixes, kind="stable")
    prefixes = prefixes[order]
    locators = locators[order]
    first = np.ones(len(prefixes), dtype=bool)
    first[1:] = prefixes[1:] != prefixes[:-1]
    return prefixes[first], locators[first]
