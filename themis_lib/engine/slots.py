"""The slots of a context: which prompt goes where, and how much of it is there already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from themis_lib.engine.context import MAX_BATCH, Context, Logits, Tokens
from themis_lib.engine.invariance import Invariance

#: Tokens that another slot must hold beyond the best free one before copying it is
#: worth while.
_WORTH_A_COPY = 16


class Slots:
    """Puts prompts into slots, taking from any slot what it holds of the same
    beginning.

    Only what was computed as a prompt is shared: a token computed while decoding may
    have other bits.
    """

    def __init__(
        self,
        context: Context,
        invariance: Invariance,
    ) -> None:
        self._context = context
        self._invariance = invariance
        self._held = [np.empty(0, dtype=np.int32) for _ in range(context.slots)]
        self._used = [0] * context.slots
        self._clock = 0

    def held(self, slot: int) -> int:
        """How many tokens of prompts a slot holds."""
        return len(self._held[slot])

    def forget(self) -> None:
        """Empty every slot."""
        for slot in range(self._context.slots):
            self._note_held(slot, np.empty(0, dtype=np.int32), 0)

    def place(
        self,
        prompt: Sequence[int],
        free: Collection[int],
        wanted: Callable[[], bool],
    ) -> tuple[int, Logits | None]:
        """Put a prompt into one of the free slots; that slot, and the row of logits
        after the prompt.

        Between the calls that a long prompt takes it asks whether it is still `wanted`;
        no logits if not.
        """
        tokens = np.asarray(prompt, dtype=np.int32)
        slot = self._prepare_slot(tokens, free)
        self._mark_used(slot)
        return slot, self._prefill_slot(slot, tokens, wanted)

    def place_again(
        self,
        source: int,
        free: Collection[int],
    ) -> int:
        """A free slot with the whole prompt that `source` holds: one that has it
        already, or else a copy.
        """
        tokens = self._held[source]
        slot = next(
            (slot for slot in free if np.array_equal(self._held[slot], tokens)), None
        )
        if slot is None:
            slot = min(free, key=lambda one: self._used[one])
            self._context.copy(source, slot)
            self._note_held(slot, tokens, len(tokens))
        self._mark_used(slot)
        return slot

    def _prepare_slot(
        self,
        tokens: Tokens,
        free: Collection[int],
    ) -> int:
        """Choose a free slot and leave in it the longest beginning of the prompt that
        any slot holds.
        """
        shared = [
            self._shared_length(slot, tokens) for slot in range(self._context.slots)
        ]
        best = max(range(len(shared)), key=lambda slot: (shared[slot], slot in free))
        nearest = max(free, key=lambda slot: (shared[slot], -self._used[slot]))
        if shared[best] < shared[nearest] + _WORTH_A_COPY:
            slot = (
                nearest
                if shared[nearest]
                else min(free, key=lambda one: self._used[one])
            )
            self._note_held(slot, tokens, shared[slot])
            return slot
        slot = min(free, key=lambda one: self._used[one])
        self._context.copy(best, slot)
        self._note_held(slot, tokens, shared[best])
        return slot

    def _mark_used(self, slot: int) -> None:
        self._clock += 1
        self._used[slot] = self._clock

    def _note_held(
        self,
        slot: int,
        tokens: Tokens,
        length: int,
    ) -> None:
        self._context.trim(slot, length)
        self._held[slot] = tokens[:length]

    def _prefill_slot(
        self,
        slot: int,
        tokens: Tokens,
        wanted: Callable[[], bool],
    ) -> Logits | None:
        start = len(self._held[slot])
        while wanted():
            stop = self._cut_after(start, len(tokens))
            last = stop == len(tokens)
            logits = self._context.prefill(
                slot,
                tokens[start:stop],
                start,
                wanted=last,
            )
            self._held[slot] = tokens[:stop]
            if last:
                return logits
            start = stop
        return None

    def _cut_after(
        self,
        start: int,
        length: int,
    ) -> int:
        """Where a call that begins at `start` ends, so that what is left for the next
        is long enough.
        """
        stop = min(start + MAX_BATCH, length)
        while 0 < length - stop < self._invariance.shortest:
            stop -= max(self._invariance.cut_at, 1)
        return stop

    def _shared_length(
        self,
        slot: int,
        tokens: Tokens,
    ) -> int:
        """How many tokens of a prompt a slot holds, cut where the bits do not depend on
        it.
        """
        cut_at, shortest = self._invariance.cut_at, self._invariance.shortest
        if cut_at == 0:
            return 0
        held = self._held[slot]
        most = min(len(held), len(tokens) - shortest)
        if most <= 0:
            return 0
        differs = held[:most] != tokens[:most]
        length = int(differs.argmax()) if differs.any() else most
        length -= length % cut_at
        return length if length >= shortest else 0
