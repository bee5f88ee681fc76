"""A thread with its own context, which decodes several texts at a time."""

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
    """A thread that takes work from an inbox while it has a free slot, until `stop`.

    It may share the inbox with other workers.
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
        self._narrowest = invariance.narrowest
        self._inbox = inbox
        self._active: dict[int, LiveSequence | Continuation] = {}
        # The continuations to decode next, each with a slot that holds its prompt.
        self._following: deque[tuple[int, Continuation]] = deque()
        self._closing = threading.Event()
        # A daemon: a program that ends without closing its engines must not hang.
        self._thread = threading.Thread(
            target=self._run_loop,
            name=f"llama {weights.path.name}",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end, and whatever is in progress fail.

        An idle thread notices once `None` arrives in the inbox.
        """
        self._closing.set()

    def close(self) -> None:
        """Wait for the end of the thread after `stop`, and free the context."""
        self._thread.join()
        self._context.close()

    def _run_loop(self) -> None:
        while not self._closing.is_set():
            try:
                self._admit_waiting()
                self._decode_step()
            # Whatever it was, the next call must be served.
            except Exception as error:  # noqa: BLE001
                self._give_up(error)
        self._give_up(self._closed_error())

    def _admit_waiting(self) -> None:
        """Begin what is waiting while slots are free; with nothing to do, wait for it."""
        while len(self._active) < self._width and not self._closing.is_set():
            # First the continuations of a rating that has begun, so that their prompt is
            # still in its slot; then the inbox in its order.
            if self._following:
                source, continuation = self._following[0]
                if not continuation.future.done():
                    slot = self._slots.place_again(source, self._free_slots())
                    self._active[slot] = continuation
                # Only now: if it could not be placed, `_give_up` fails it too.
                self._following.popleft()
                continue
            try:
                # To wait would keep the texts that are being decoded waiting.
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
        def is_wanted() -> bool:
            return not (work.future.cancelled() or self._closing.is_set())

        slot, logits = self._slots.place(
            work.prompt,
            self._free_slots(),
            is_wanted,
        )
        if logits is None:
            # A text that was given up takes no notice of it.
            work.fail(self._closed_error())
            return
        row = logits[0]
        if isinstance(work, LiveSequence):
            if not _is_finished_by(
                work,
                row,
                int(row.argmax()),
            ):
                self._active[slot] = work
            return
        try:
            longer = work.begin(row)
        except Exception as error:  # noqa: BLE001 - it concerns this rating alone
            work.fail(error)
            return
        for continuation in longer:
            self._following.append((slot, continuation))

    def _free_slots(self) -> list[int]:
        return [slot for slot in range(self._width) if slot not in self._active]

    def _dummy_slots(self) -> list[int]:
        """Return the idle slots that must be decoded for the bits of the others."""
        if self._narrowest == 1:
            return []
        # Without a gap: llama.cpp computes slots that are not neighbours one by one.
        last = max(*self._active, min(self._active) + self._narrowest - 1)
        last = min(last, self._width - 1)
        first = min(*self._active, last - self._narrowest + 1)
        return [slot for slot in range(first, last + 1) if slot not in self._active]

    def _decode_step(self) -> None:
        """Decode one more token of every text that is still wanted."""
        # A list, because releasing a slot changes what is active.
        for slot, sequence in list(self._active.items()):
            if sequence.future.done():
                self._release_slot(slot)
        if not self._active:
            return
        # A least width is part of the bits: idle slots are decoded with a dummy token.
        idle = self._dummy_slots()
        slots = sorted([*self._active, *idle])
        places: list[int] = []
        tokens: list[int] = []
        for slot in slots:
            active = self._active.get(slot)
            if active is None:
                places.append(self._slots.held(slot))
                tokens.append(0)
            else:
                places.append(active.position)
                tokens.append(active.newest)
        logits = self._context.decode(
            slots,
            tokens,
            places,
        )
        likeliest = logits.argmax(axis=1).tolist()
        for slot, row, token in zip(
            slots,
            logits,
            likeliest,
            strict=True,
        ):
            if slot in idle or _is_finished_by(
                self._active[slot],
                row,
                token,
            ):
                self._release_slot(slot)

    def _release_slot(self, slot: int) -> None:
        self._active.pop(slot, None)
        # The prompt stays for others to share; what was decoded behind it may have other
        # bits than a prompt has.
        self._context.trim(slot, self._slots.held(slot))

    def _closed_error(self) -> ModelError:
        return ModelError(f"{self._path}: the engine was closed")

    def _give_up(self, error: Exception) -> None:
        for sequence in self._active.values():
            sequence.fail(error)
        for _, continuation in self._following:
            continuation.fail(error)
        self._active.clear()
        self._following.clear()
        # Where a call failed, nobody knows what the slots hold.
        self._slots.forget()


def _is_finished_by(
    sequence: LiveSequence | Continuation,
    logits: Row,
    likeliest: int,
) -> bool:
    """Return whether a text is finished by its next token, or by an error in choosing it.

    The error concerns that text alone: the caller gets it, and the others go on.
    """
    try:
        return sequence.advance(logits, likeliest)
    except BaseException as error:  # noqa: BLE001 - also an exit that a callback raises
        sequence.fail(error)
        return True
