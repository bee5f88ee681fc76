"""Marks: 64 bits for each row of a table, from what it holds.

Equal rows have equal marks, in every process. Different ones are taken for equal by
chance: among n rows with a probability of n²/2⁶⁵, which is 3·10⁻⁸ for a million. A text
is marked by a polynomial in its bytes (Karp and Rabin, "Efficient randomized
pattern-matching algorithms", 1987), so that Arrow's buffers are read as they are and no
row becomes an object of Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Marks: TypeAlias = npt.NDArray[np.uint64]
Numbers: TypeAlias = npt.NDArray[np.int64]

#: Fractions of the golden ratio and of π, made odd: multiplying by an odd number loses no
#: bit.
_STEP = 0x9E3779B97F4A7C15
_BASE = 0x243F6A8885A308D3
_NULL = np.uint64(0x452821E638D01377)
_BITS = 64
#: Values that are multiplied with powers at once: what a processor's cache holds.
_SPAN = 2**16


def row_marks(columns: Sequence[pa.Array | pa.ChunkedArray]) -> Marks:
    """Return the mark of each row of some columns of equal length; at least one."""
    marks = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        marks = _mixed(marks * np.uint64(_STEP) + _column_marks(_whole(column)))
    return marks


def row_bytes(columns: Sequence[pa.Array | pa.ChunkedArray]) -> Numbers:
    """Return about how many bytes each row of some columns holds; at least one."""
    sizes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        sizes += _column_bytes(_whole(column))
    return sizes


class Repetitions:
    """Counts how often marks came before, in sixteen bytes for each different one."""

    def __init__(self) -> None:
        # Sorted runs of (marks, counts), each longer than the next.
        self._runs: list[tuple[Marks, Numbers]] = []

    def count(self, marks: Marks) -> Numbers:
        """Return how often each mark came before, in this batch too, and add them."""
        if not len(marks):
            return np.empty(0, np.int64)
        order = np.argsort(marks, kind="stable")
        starts = _starts_of_different(marks[order])
        different = marks[order][starts]
        counts = np.diff(np.append(starts, len(marks)))
        before = self._counted(different)
        # Among equals of the batch, the place behind the first of them.
        places = np.arange(len(marks)) - np.repeat(starts, counts)
        repeated = np.empty(len(marks), np.int64)
        repeated[order] = places + np.repeat(before, counts)
        self._add(different, counts)
        return repeated

    def _counted(self, marks: Marks) -> Numbers:
        counted = np.zeros(len(marks), np.int64)
        for known, counts in self._runs:
            at = np.searchsorted(known, marks)
            # A mark above all of the run would be looked up past its end.
            at = np.minimum(at, len(known) - 1)
            counted += np.where(known[at] == marks, counts[at], 0)
        return counted

    def _add(
        self,
        marks: Marks,
        counts: Numbers,
    ) -> None:
        # Runs of a size merge, so that n marks cost O(n log n) in all.
        while self._runs and len(self._runs[-1][0]) <= len(marks):
            older_marks, older_counts = self._runs.pop()
            both = np.concatenate([older_marks, marks])
            order = np.argsort(both, kind="stable")
            starts = _starts_of_different(both[order])
            marks = both[order][starts]
            counts = np.concatenate([older_counts, counts])[order]
            counts = np.add.reduceat(counts, starts)
        self._runs.append((marks, counts))


def _starts_of_different(marks: Marks) -> Numbers:
    """Return the places in sorted marks where another one begins; at least one mark."""
    is_first = np.ones(len(marks), dtype=bool)
    is_first[1:] = marks[1:] != marks[:-1]
    return np.flatnonzero(is_first)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    # `combine_chunks` would copy a single chunk.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _column_marks(array: pa.Array) -> Marks:
    kind = array.type
    if not len(array):
        return np.empty(0, np.uint64)
    if isinstance(array, pa.ExtensionArray):
        return _column_marks(array.storage)
    if pa.types.is_dictionary(kind):
        return _column_marks(array.dictionary_decode())
    if pa.types.is_null(kind):
        return np.full(len(array), _NULL)
    if pa.types.is_struct(kind):
        fields = array.flatten()
        marks = row_marks(fields) if fields else np.zeros(len(array), np.uint64)
    elif _is_list(kind):
        items = _column_marks(array.flatten())
        marks = _sums(items, _lengths(array))
    elif _is_text(kind):
        texts = array.cast(pa.large_binary())
        marks = _sums(_bytes_of(texts), _lengths(texts))
    else:
        marks = _number_marks(array)
    # Not of 0, which would stay 0: a list of an empty text is no empty list.
    marks = _mixed(marks + np.uint64(_STEP))
    if array.null_count:
        marks[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return marks


def _column_bytes(array: pa.Array) -> Numbers:
    kind = array.type
    if not len(array):
        return np.empty(0, np.int64)
    if isinstance(array, pa.ExtensionArray):
        return _column_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        return _column_bytes(array.dictionary_decode())
    if pa.types.is_struct(kind):
        fields = array.flatten()
        return row_bytes(fields) if fields else np.ones(len(array), np.int64)
    if _is_list(kind):
        totals = np.append(0, np.cumsum(_column_bytes(array.flatten())))
        ends = np.cumsum(_lengths(array))
        sizes: Numbers = totals[ends] - totals[ends - _lengths(array)]
        return sizes
    if _is_text(kind):
        return _lengths(array.cast(pa.large_binary()))
    return np.full(len(array), 8, np.int64)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_map(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _lengths(array: pa.Array) -> Numbers:
    """Return the number of items of each list, or of bytes of each text; 0 for null."""
    if _is_list(array.type):
        lengths = pc.list_value_length(array)
    else:
        lengths = pc.binary_length(array)
    return np.asarray(lengths.fill_null(0).cast(pa.int64()).to_numpy())


def _bytes_of(array: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the bytes of all texts, one after the other."""
    _, offsets, data = array.buffers()
    # Arrow needs no data for texts that are all empty.
    if data is None:
        return np.empty(0, np.uint8)
    # What a null covers is no part of any text, so that its bytes would be in the way.
    if array.null_count:
        return _bytes_of(array.fill_null(b""))
    bounds = np.frombuffer(offsets, np.int64)[
        array.offset : array.offset + len(array) + 1
    ]
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]


def _number_marks(array: pa.Array) -> Marks:
    """Return the bits of values of one width, as many words as they take."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    width = array.type.bit_width // 8
    _, data = array.buffers()
    if data is None:
        return np.zeros(len(array), np.uint64)
    held = np.frombuffer(data, np.uint8)[array.offset * width :][: len(array) * width]
    return _sums(held, np.full(len(array), width, np.int64))


def _sums(
    values: npt.NDArray[Any],
    lengths: Numbers,
) -> Marks:
    """Return, for runs of so many values, the sum of each value times a power.

    The power is of the value's place in its run. Bytes are taken for numbers that differ
    in all bits.
    """
    ends = np.cumsum(lengths)
    starts = ends - lengths
    sums = np.zeros(len(lengths), np.uint64)
    row = 0
    while row < len(lengths):
        first = starts[row]
        last = int(np.searchsorted(ends, first + _SPAN, side="right"))
        if last == row:
            sums[row] = _long_sum(values[first : ends[row]])
            row += 1
            continue
        # Empty runs have no first value to begin with, and the sum 0.
        filled = row + np.flatnonzero(lengths[row:last])
        if len(filled):
            begins = starts[filled] - first
            weighted = _weighted(values[first : ends[last - 1]])
            # Powers of places in the span, brought to those in the run.
            _, inverses = _powers()
            sums[filled] = np.add.reduceat(weighted, begins) * inverses[begins]
        row = last
    return sums


def _long_sum(values: npt.NDArray[Any]) -> np.uint64:
    total = 0
    for at in range(0, len(values), _SPAN):
        part = int(_weighted(values[at : at + _SPAN]).sum())
        total += part * pow(_BASE, at, 2**_BITS)
    return np.uint64(total % 2**_BITS)


def _weighted(values: npt.NDArray[Any]) -> Marks:
    powers, _ = _powers()
    # Takes less than half the time of indexing.
    numbers = np.take(_byte_marks(), values) if values.dtype == np.uint8 else values
    weighted: Marks = numbers * powers[: len(values)]
    return weighted


@lru_cache(maxsize=1)
def _powers() -> tuple[Marks, Marks]:
    """Return the powers of the base, and of its inverse, modulo 2⁶⁴."""
    both = []
    for base in (_BASE, pow(_BASE, -1, 2**_BITS)):
        factors = np.full(_SPAN + 1, base, np.uint64)
        factors[0] = 1
        both.append(np.multiply.accumulate(factors))
    return both[0], both[1]


@lru_cache(maxsize=1)
def _byte_marks() -> Marks:
    numbers = np.arange(1, 257, dtype=np.uint64)
    return _mixed(numbers * np.uint64(_STEP))


def _mixed(values: Marks) -> Marks:
    """Return numbers in which each bit depends on all bits (Stafford's thirteenth mix)."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
