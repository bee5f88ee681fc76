"""The slots of a context: which prompt goes where, and how much of it is there already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from themis_lib.engine.context import MAX_BATCH, Context, Logits, Tokens
from themis_lib.engine.invariance import Invariance

#: Another slot must hold this many tokens more than the best free one: below, a copy
#: costs more than it saves.
_WORTH_A_COPY = 16


class Slots:
    """The prompts that the slots of a context hold.

    A new prompt takes from any slot what it holds of the same beginning. Only what was
    computed as a prompt is shared: a token computed while decoding may have other bits.
    """

    def __init__(
        self,
        context: Context,
        invariance: Invariance,
    ) -> None:
        self._context = context
        self._invariance = invariance
        # Of prompts alone. A slot may hold a text after its prompt, see `held`.
        self._held: list[Tokens] = []
        for _ in range(context.slots):
            self._held.append(np.empty(0, dtype=np.int32))
        # When each slot was used last, by a counter: a clock would not be repeatable.
        self._used = [0] * context.slots
        self._clock = 0

    def held(self, slot: int) -> int:
        """Return how many tokens of prompts a slot holds."""
        return len(self._held[slot])

    def forget(self) -> None:
        """Empty every slot."""
        nothing = np.empty(0, dtype=np.int32)
        for slot in range(self._context.slots):
            self._keep_beginning(slot, nothing, 0)

    def place(
        self,
        prompt: Sequence[int],
        free: Collection[int],
        wanted: Callable[[], bool],
    ) -> tuple[int, Logits | None]:
        """Put a prompt into a free slot, and return the slot and the last logits.

        A long prompt takes several calls; between them it asks whether the prompt is
        still `wanted`. If not, there are no logits.
        """
        tokens = np.asarray(prompt, dtype=np.int32)
        slot = self._prepare_slot(tokens, free)
        self._mark_used(slot)
        length = len(tokens)
        start = len(self._held[slot])
        # 0 where no cut keeps the bits.
        step = max(self._invariance.cut_at, 1)
        while wanted():
            stop = min(start + MAX_BATCH, length)
            # What is left must be long enough for a call: a single token, for instance,
            # is computed by another kernel.
            while 0 < length - stop < self._invariance.shortest:
                stop -= step
            is_last = stop == length
            logits = self._context.prefill(
                slot,
                tokens[start:stop],
                start,
                # Other parts need none: each row costs a product with the vocabulary.
                wanted=is_last,
            )
            # At once, so that what was computed is shared even if the rest is not.
            self._held[slot] = tokens[:stop]
            if is_last:
                return slot, logits
            start = stop
        return slot, None

    def place_again(
        self,
        source: int,
        free: Collection[int],
    ) -> int:
        """Return a free slot with the whole prompt that `source` holds.

        It is one that has the prompt already, or else a copy.
        """
        tokens = self._held[source]
        for slot in free:
            if np.array_equal(self._held[slot], tokens):
                self._mark_used(slot)
                return slot
        slot = self._least_recent(free)
        self._context.copy(source, slot)
        self._keep_beginning(
            slot,
            tokens,
            len(tokens),
        )
        self._mark_used(slot)
        return slot

    def _prepare_slot(
        self,
        tokens: Tokens,
        free: Collection[int],
    ) -> int:
        """Choose a free slot, and leave the longest beginning of a prompt in it."""
        shared: list[int] = []
        for slot in range(self._context.slots):
            shared.append(self._shared_length(slot, tokens))

        def rank_source(slot: int) -> tuple[int, bool]:
            return shared[slot], slot in free

        def rank_free(slot: int) -> tuple[int, int]:
            return shared[slot], -self._used[slot]

        best = max(range(len(shared)), key=rank_source)
        nearest = max(free, key=rank_free)
        if shared[best] >= shared[nearest] + _WORTH_A_COPY:
            # Over the prompt that is least likely to be shared again.
            slot = self._least_recent(free)
            self._context.copy(best, slot)
            self._keep_beginning(
                slot,
                tokens,
                shared[best],
            )
            return slot
        slot = nearest if shared[nearest] else self._least_recent(free)
        self._keep_beginning(
            slot,
            tokens,
            shared[slot],
        )
        return slot

    def _least_recent(self, free: Collection[int]) -> int:
        return min(free, key=self._used.__getitem__)

    def _mark_used(self, slot: int) -> None:
        self._clock += 1
        self._used[slot] = self._clock

    def _keep_beginning(
        self,
        slot: int,
        tokens: Tokens,
        length: int,
    ) -> None:
        # Both together: a slot that holds more than is noted would continue a prompt
        # behind the wrong tokens.
        self._context.trim(slot, length)
        self._held[slot] = tokens[:length]

    def _shared_length(
        self,
        slot: int,
        tokens: Tokens,
    ) -> int:
        """Return how many tokens of a prompt can be taken from a slot."""
        cut_at = self._invariance.cut_at
        shortest = self._invariance.shortest
        if cut_at == 0:
            return 0
        held = self._held[slot]
        # Never the whole prompt: its last logits must be computed.
        most = min(len(held), len(tokens) - shortest)
        if most <= 0:
            return 0
        length = most
        differs = held[:most] != tokens[:most]
        if differs.any():
            length = int(differs.argmax())
        # Cut where the bits do not depend on it.
        length -= length % cut_at
        return length if length >= shortest else 0
