"""Where the row of each key lies, in sixteen bytes a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.identity.digests import KEY_BYTES

Prefixes = npt.NDArray[np.uint64]
Locators = npt.NDArray[np.int64]


class KeyIndex:
    """Maps keys to locators; for a key added twice the first locator stays.

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
        run = _sorted_run(prefixes[known], locators[known])
        while self._runs and len(self._runs[-1][0]) <= len(run[0]):
            older = self._runs.pop()
            run = _sorted_run(
                np.concatenate([older[0], run[0]]), np.concatenate([older[1], run[1]])
            )
        if len(run[0]):
            self._runs.append(run)

    def find(self, keys: pa.Array) -> Locators:
        """The locator of each key, -1 where there is none."""
        prefixes, known = _key_prefixes(keys)
        located = np.full(len(prefixes), -1, dtype=np.int64)
        for run_prefixes, run_locators in reversed(self._runs):
            at = np.minimum(
                np.searchsorted(run_prefixes, prefixes), len(run_prefixes) - 1
            )
            hit = known & (run_prefixes[at] == prefixes)
            located[hit] = run_locators[
                at[hit]
            ]  # older runs are looked at last, so that the first row wins
        return located


def _key_prefixes(keys: pa.Array) -> tuple[Prefixes, npt.NDArray[np.bool_]]:
    known = keys.is_valid().to_numpy(zero_copy_only=False)
    filled = keys.fill_null(b"\0" * KEY_BYTES)
    data = np.frombuffer(filled.buffers()[1], dtype=np.uint64)[
        2 * filled.offset : 2 * (filled.offset + len(filled))
    ]
    return data[::2], known


def _sorted_run(
    prefixes: Prefixes,
    locators: Locators,
) -> tuple[Prefixes, Locators]:
    order = np.argsort(prefixes, kind="stable")
    prefixes, locators = prefixes[order], locators[order]
    first = np.ones(len(prefixes), dtype=bool)
    first[1:] = prefixes[1:] != prefixes[:-1]
    return prefixes[first], locators[first]
