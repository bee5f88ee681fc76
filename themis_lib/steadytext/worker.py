"""A thread with a context of its own, which decodes several texts at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import numpy as np

from themis_lib.errors import ModelError
from themis_lib.steadytext.context import MAX_OUTPUTS, Context
from themis_lib.steadytext.generation import Pending
from themis_lib.steadytext.invariance import Invariance
from themis_lib.steadytext.sampling import Row, log_probabilities
from themis_lib.steadytext.sequence import LiveSequence
from themis_lib.steadytext.slots import Slots
from themis_lib.steadytext.weights import Weights


class Rating(Pending[list[list[float]]]):
    """Continuations of a prompt, and the natural logarithm of the probability of each of their tokens to be."""

    def __init__(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.prompt = tuple(prompt)
        self.continuations = [list(continuation) for continuation in continuations]


Work = LiveSequence | Rating


class Worker:
    """Takes work from an inbox that it may share with others, as long as it has a free slot, until `stop`."""

    def __init__(
        self, weights: Weights, invariance: Invariance, inbox: queue.SimpleQueue[Work | None], *,
        window: int, slots: int, threads: int,
    ) -> None:  # fmt: skip
        self._path = weights.path
        self._context = Context(weights, slots=slots, length=window, threads=threads)
        self._slots = Slots(self._context, invariance)
        self._width = min(invariance.width, slots)
        self._fixed = invariance.decode == "fixed"
        self._inbox = inbox
        self._active: dict[int, LiveSequence] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"llama {weights.path.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what is going on with an error; where there is nothing, once None arrives in the inbox."""
        self._closing.set()

    def close(self) -> None:
        """Wait for the end after `stop`, and free the context."""
        self._thread.join()
        self._context.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._admit()
                self._step()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next call must be served
                self._give_up(error)
        self._give_up(self._gone())

    def _admit(self) -> None:
        """Begin what is waiting, in its order, while slots are free; with nothing to do, wait for it."""
        while len(self._active) < self._width and not self._closing.is_set():
            try:
                work = self._inbox.get(block=not self._active)
            except queue.Empty:
                return
            if work is None or work.future.cancelled():
                continue
            try:
                self._begin(work)
            except Exception as error:
                work.fail(error)
                raise  # what the slots hold is uncertain

    def _begin(self, work: Work) -> None:
        def wanted() -> bool:
            return not (work.future.cancelled() or self._closing.is_set())

        free = [slot for slot in range(self._width) if slot not in self._active]
        if isinstance(work, Rating):
            ratings = self._rated(work, free, wanted)
            if ratings is None:
                work.fail(self._gone())
            else:
                work.settle(ratings)
            return
        slot, logits = self._slots.place(work.request.prompt, free, wanted)
        if logits is None:
            work.fail(self._gone())  # which a text that was given up takes no notice of
        elif not _finished_by(work, logits[0], int(logits[0].argmax())):
            self._active[slot] = work

    def _step(self) -> None:
        """One more token for every text that is still wanted."""
        for slot in [slot for slot, sequence in self._active.items() if sequence.future.cancelled()]:
            self._release(slot)
        if not self._active:
            return
        idle = [slot for slot in range(self._width) if slot not in self._active] if self._fixed else []
        slots = sorted([*self._active, *idle])
        places = [self._active[slot].position if slot in self._active else self._slots.held(slot) for slot in slots]
        tokens = [self._active[slot].newest if slot in self._active else 0 for slot in slots]
        logits = self._context.decode(slots, tokens, places)
        for slot, row, likeliest in zip(slots, logits, logits.argmax(axis=1).tolist(), strict=True):
            if slot in idle or _finished_by(self._active[slot], row, likeliest):
                self._release(slot)

    def _release(self, slot: int) -> None:
        """Let a slot be free again, with the prompt it holds."""
        self._active.pop(slot, None)
        self._context.trim(slot, self._slots.held(slot))

    def _rated(self, rating: Rating, free: Sequence[int], wanted: Callable[[], bool]) -> list[list[float]] | None:
        """Ratings from the row after the prompt, and from calls of exactly 32 rows behind it.

        The number of rows that become logits picks a kernel too, so it is the same for every continuation.
        """
        slot, logits = self._slots.place(rating.prompt, free, wanted)
        if logits is None:
            return None
        first = logits[0].copy()
        rated: list[list[float]] = []
        while wanted() and len(rated) < len(rating.continuations):
            rated.append(self._rated_one(slot, len(rating.prompt), first, rating.continuations[len(rated)]))
        return rated if len(rated) == len(rating.continuations) else None

    def _rated_one(self, slot: int, start: int, first: Row, tokens: list[int]) -> list[float]:
        rated = [_logprob(first, token) for token in tokens[:1]]
        for place in range(0, len(tokens) - 1, MAX_OUTPUTS):
            piece = tokens[place : place + MAX_OUTPUTS]
            padded = [*piece, *[0] * (MAX_OUTPUTS - len(piece))]
            logits = self._context.prefill(slot, padded, start + place, MAX_OUTPUTS)
            following = tokens[place + 1 : place + MAX_OUTPUTS + 1]
            rated += [_logprob(row, token) for row, token in zip(logits, following, strict=False)]
        self._context.trim(slot, start)
        return rated

    def _gone(self) -> ModelError:
        return ModelError(f"{self._path}: the engine was closed")

    def _give_up(self, error: Exception) -> None:
        for sequence in self._active.values():
            sequence.fail(error)
        self._active.clear()
        self._slots.forget()


def _finished_by(sequence: LiveSequence, logits: Row, likeliest: int) -> bool:
    """Whether a text is finished by its next token; what goes wrong within one concerns that one alone."""
    try:
        return sequence.advance(logits, likeliest)
    except BaseException as error:  # noqa: BLE001 - whoever asked is told, also of an exit raised by a callback
        sequence.fail(error)
        return True


def _logprob(logits: Row, token: int) -> float:
    return float(log_probabilities(logits, np.array([token]))[0])
