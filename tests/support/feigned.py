"""A context that computes nothing, whose kernels may differ where a test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from themis_lib.engine.context import Logits

_N_VOCAB = 4


class Row(NamedTuple):
    """A token in a call: how many rows the call has, which it is, and where it stands.

    `start` is the position of the call's first token in this slot, `reach` one more
    than the last position of any slot.
    """

    kind: str
    rows: int
    index: int
    slot: int
    first_slot: int
    position: int
    start: int
    reach: int
    threads: int


@dataclass
class Faults:
    """What goes wrong: rows that another kernel computes, and traces that are left.

    `left_by_trim` is told how many tokens are cut off.
    """

    other_kernel: Callable[[Row], bool] = lambda row: False
    left_by_trim: Callable[[int], bool] = lambda count: False
    left_by_copy: bool = False
    computed: int = 0


@dataclass
class FeignedWeights:
    """A model that is no file."""

    sliding_window: int = 0
    n_vocab: int = 1000
    trained_context: int = 4096


class FeignedContext:
    """Slots that hold, for each token, a digest of everything that it depends on."""

    def __init__(
        self,
        faults: Faults,
        *,
        slots: int,
        length: int,
        threads: int,
    ) -> None:
        self.slots = slots
        self._faults = faults
        self._length = length
        self._threads = threads
        self._held: list[list[int]] = [[] for _ in range(slots)]

    def use_threads(self, threads: int) -> None:
        self._threads = threads

    def close(self) -> None:
        pass

    def prefill(
        self, slot: int, tokens: Sequence[int], start: int, *, wanted: bool = True
    ) -> Logits:
        count = len(tokens)
        assert count > 0
        for index, token in enumerate(tokens):
            row = Row(
                kind="prefill",
                rows=count,
                index=index,
                slot=slot,
                first_slot=slot,
                position=start + index,
                start=start,
                reach=start + count,
                threads=self._threads,
            )
            self._add(token, row)
        return self._logits([slot] if wanted else [])

    def decode(
        self, slots: Sequence[int], tokens: Sequence[int], positions: Sequence[int]
    ) -> Logits:
        for index, (slot, token, position) in enumerate(
            zip(slots, tokens, positions, strict=True)
        ):
            row = Row(
                kind="decode",
                rows=len(slots),
                index=index,
                slot=slot,
                first_slot=slots[0],
                position=position,
                start=position,
                reach=max(positions) + 1,
                threads=self._threads,
            )
            self._add(token, row)
        return self._logits(slots)

    def copy(self, source: int, target: int) -> None:
        held = list(self._held[source])
        if self._faults.left_by_copy:
            held = [hash((one, 1)) for one in held]
        self._held[target] = held

    def trim(self, slot: int, length: int) -> None:
        held = self._held[slot]
        cut = held[length:]
        del held[length:]
        if cut and held and self._faults.left_by_trim(len(cut)):
            held[-1] = hash((held[-1], cut[0]))

    def _add(self, token: int, row: Row) -> None:
        held = self._held[row.slot]
        # As llama.cpp does, refuse a gap, and more than a slot holds.
        assert len(held) == row.position < self._length
        before = held[-1] if held else 0
        kernel = bool(self._faults.other_kernel(row))
        held.append(hash((before, token, row.position, kernel)))
        self._faults.computed += 1

    def _logits(self, slots: Sequence[int]) -> Logits:
        rows: list[Any] = []
        for slot in slots:
            random = np.random.Generator(
                np.random.Philox(key=self._held[slot][-1] % 2**64)
            )
            rows.append(random.random(_N_VOCAB, dtype=np.float32))
        return np.array(rows, dtype=np.float32).reshape(len(rows), _N_VOCAB)
