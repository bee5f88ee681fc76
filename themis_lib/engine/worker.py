"""A thread with a context of its own, which decodes several texts at a time."""

from __future__ import annotations

import queue
import threading
from collections import deque

from themis_lib.engine.context import Context
from themis_lib.engine.invariance import Invariance
from themis_lib.engine.rating import Continuation, Rating
from themis_lib.engine.sampling import Row
from themis_lib.engine.sequence import LiveSequence
from themis_lib.engine.slots import Slots
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

Work = LiveSequence | Rating


class Worker:
    """Takes work from an inbox that it may share with others, as long as it has a free
    slot, until `stop`.
    """

    def __init__(
        self,
        weights: Weights,
        invariance: Invariance,
        inbox: queue.SimpleQueue[Work | None],
        *,
        window: int,
        slots: int,
        threads: int,
    ) -> None:
        self._path = weights.path
        self._context = Context(
            weights,
            slots=slots,
            length=window,
            threads=threads,
        )
        self._slots = Slots(self._context, invariance)
        self._width = min(invariance.width, slots)
        self._fixed = invariance.decode == "fixed"
        self._inbox = inbox
        self._active: dict[int, LiveSequence | Continuation] = {}
        self._following: deque[tuple[int, Continuation]] = (
            deque()
        )  # each with a slot that holds its prompt
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run_loop,
            name=f"llama {weights.path.name}",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """End what is going on with an error; where there is nothing, once None arrives
        in the inbox.
        """
        self._closing.set()

    def close(self) -> None:
        """Wait for the end after `stop`, and free the context."""
        self._thread.join()
        self._context.close()

    def _run_loop(self) -> None:
        while not self._closing.is_set():
            try:
                self._admit_waiting()
                self._take_step()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next call must be served
                self._give_up(error)
        self._give_up(self._closed_error())

    def _admit_waiting(self) -> None:
        """Begin what is waiting while slots are free; with nothing to do, wait for it.

        The continuations of a rating that has begun go before everything else, the rest
        in its order.
        """
        while len(self._active) < self._width and not self._closing.is_set():
            if self._following:
                self._follow_continuation(*self._following[0])
                self._following.popleft()
                continue
            try:
                work = self._inbox.get(block=not self._active)
            except queue.Empty:
                return
            if work is None or work.future.cancelled():
                continue
            try:
                self._begin_work(work)
            except Exception as error:
                work.fail(error)
                raise  # what the slots hold is uncertain

    def _begin_work(self, work: Work) -> None:
        def wanted() -> bool:
            return not (work.future.cancelled() or self._closing.is_set())

        slot, logits = self._slots.place(work.prompt, self._free_slots(), wanted)
        if logits is None:
            work.fail(
                self._closed_error()
            )  # which a text that was given up takes no notice of
        elif isinstance(work, Rating):
            self._following.extend(
                (slot, continuation)
                for continuation in _begun_continuations(work, logits[0])
            )
        elif not _finished_by(work, logits[0], int(logits[0].argmax())):
            self._active[slot] = work

    def _follow_continuation(
        self,
        source: int,
        continuation: Continuation,
    ) -> None:
        """Decode a continuation behind its prompt. These go first, so that their prompt
        is still in its slot.
        """
        if not continuation.future.done():
            self._active[self._slots.place_again(source, self._free_slots())] = (
                continuation
            )

    def _free_slots(self) -> list[int]:
        return [slot for slot in range(self._width) if slot not in self._active]

    def _take_step(self) -> None:
        """One more token for every text that is still wanted."""
        for slot in [
            slot for slot, sequence in self._active.items() if sequence.future.done()
        ]:
            self._release_slot(slot)
        if not self._active:
            return
        idle = self._free_slots() if self._fixed else []
        slots = sorted([*self._active, *idle])
        places = [
            self._active[slot].position
            if slot in self._active
            else self._slots.held(slot)
            for slot in slots
        ]
        tokens = [
            self._active[slot].newest if slot in self._active else 0 for slot in slots
        ]
        logits = self._context.decode(slots, tokens, places)
        for slot, row, likeliest in zip(
            slots,
            logits,
            logits.argmax(axis=1).tolist(),
            strict=True,
        ):
            if slot in idle or _finished_by(self._active[slot], row, likeliest):
                self._release_slot(slot)

    def _release_slot(self, slot: int) -> None:
        """Let a slot be free again, with the prompt it holds."""
        self._active.pop(slot, None)
        self._context.trim(slot, self._slots.held(slot))

    def _closed_error(self) -> ModelError:
        return ModelError(f"{self._path}: the engine was closed")

    def _give_up(self, error: Exception) -> None:
        for sequence in [
            *self._active.values(),
            *(continuation for _, continuation in self._following),
        ]:
            sequence.fail(error)
        self._active.clear()
        self._following.clear()
        self._slots.forget()


def _begun_continuations(
    rating: Rating,
    logits: Row,
) -> list[Continuation]:
    """The continuations that must be decoded; none where the rating failed, which
    concerns that one alone.
    """
    try:
        return rating.begin(logits)
    except Exception as error:  # noqa: BLE001 - whoever asked is told
        rating.fail(error)
        return []


def _finished_by(
    sequence: LiveSequence | Continuation,
    logits: Row,
    likeliest: int,
) -> bool:
    """Whether a text is finished by its next token; what goes wrong within one concerns
    whoever asked for it alone.
    """
    try:
        return sequence.advance(logits, likeliest)
    except BaseException as error:  # noqa: BLE001 - whoever asked is told, also of an exit raised by a callback
        sequence.fail(error)
        return True
