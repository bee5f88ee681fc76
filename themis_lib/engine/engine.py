"""One model in memory, whose threads decode many texts at a time.

Callers, from any thread or loop, get the same tokens and the same bits of
log-probability whether a text is generated alone, beside others, in any order, after
anything else, or in another process. Each of the three things this takes has one place:
how a sequence may be computed (`invariance`), where its draws come from (`sampling`),
and what is kept from earlier prompts (`slots`).
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from themis_lib.engine.generation import Generation, OnToken, Request
from themis_lib.engine.invariance import Invariance
from themis_lib.engine.rating import Rated, Rating
from themis_lib.engine.sequence import LiveSequence
from themis_lib.engine.weights import Weights
from themis_lib.engine.worker import Work, Worker
from themis_lib.errors import ModelError


class Engine:
    """A model that generates texts and rates continuations, until `close`.

    `window` is the most tokens of a prompt and its text together. Each of the `workers`
    decodes up to `slots` texts at a time, computing with `threads` threads. Raises
    `ModelError` if memory does not suffice.
    """

    def __init__(
        self,
        weights: Weights,
        invariance: Invariance,
        *,
        window: int,
        slots: int,
        workers: int = 1,
        threads: int = 1,
    ) -> None:
        self.weights = weights
        self.invariance = invariance
        self.window = window
        # One inbox for all workers, so that none is idle while another has work waiting.
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        # Held while work is put and while the engine is marked as closed: work that
        # arrived after `close` emptied the inbox would wait for ever.
        self._submitting = threading.Lock()
        self._closed = False
        self._process = os.getpid()
        self._workers: list[Worker] = []
        try:
            for _ in range(workers):
                worker = Worker(
                    weights,
                    invariance,
                    self._inbox,
                    window=window,
                    slots=slots,
                    threads=threads,
                )
                self._workers.append(worker)
        # The workers that did start have threads and contexts to give back.
        except BaseException:
            self.close()
            raise

    def submit(
        self,
        request: Request,
        on_token: OnToken | None = None,
    ) -> Future[Generation]:
        """Begin a text, and return the future of its generation.

        Cancel the future to give the text up: the engine drops it before the next
        token. Raises `ConfigError` for a constraint that cannot be met, and
        `ModelError` for a prompt that is empty, leaves no room in the window, or has
        tokens that the vocabulary lacks.
        """
        self._check_prompt(request.prompt)
        if request.max_tokens < 1:
            raise ModelError(f"max_tokens={request.max_tokens}: ask for at least one")
        # Made here, on the caller's thread, so that a constraint that cannot be met is
        # an error of the call.
        sequence = LiveSequence(
            request,
            self.weights,
            room=self.room(request.prompt),
            on_token=on_token,
        )
        self._put_work(sequence)
        return sequence.future

    def rate(
        self,
        prompt: Sequence[int],
        continuations: Sequence[Sequence[int]],
    ) -> Future[list[Rated]]:
        """Begin to rate continuations, and return the future of their log-probabilities.

        The prompt is computed once, and all first tokens are rated from the row after it. Longer
        continuations are decoded as texts are, one token per step and beside texts, so
        that they have the bits that they have when they are generated. A worker begins
        nothing else before the last continuation has a slot. Raises `ModelError` if the
        prompt is empty, does not fit the window together with a continuation, or has
        tokens that the vocabulary lacks.
        """
        self._check_prompt(prompt)
        for continuation in continuations:
            self._check_tokens(continuation)
        room = self.room(prompt)
        longest = max(map(len, continuations), default=0)
        if longest > room:
            raise ModelError(
                f"a continuation of {longest} tokens; a prompt of {len(prompt)} "
                f"leaves room for {room} in this window"
            )
        rating = Rating(prompt, continuations)
        self._put_work(rating)
        return rating.future

    def room(self, prompt: Sequence[int]) -> int:
        """Return how many tokens may follow a prompt in the window."""
        # One more than the window has left: the last token is never computed itself.
        return self.window - len(prompt) + 1

    def close(self) -> None:
        """Stop the threads and free the memory.

        Whatever is in progress or waiting fails with an error.
        """
        with self._submitting:
            self._closed = True
        # All workers are told before any is waited for, so that they stop together.
        for worker in self._workers:
            worker.stop()
        # An idle worker waits for the inbox: one `None` each wakes them all.
        for _ in self._workers:
            self._inbox.put(None)
        for worker in self._workers:
            worker.close()
        while not self._inbox.empty():
            work = self._inbox.get()
            if work is not None:
                work.fail(self._closed_error())

    def _check_prompt(self, prompt: Sequence[int]) -> None:
        if not 1 <= len(prompt) < self.window:
            raise ModelError(
                f"a prompt of {len(prompt)} tokens; "
                f"this engine takes 1 to {self.window - 1}"
            )
        self._check_tokens(prompt)

    def _check_tokens(self, tokens: Sequence[int]) -> None:
        # Checked before a worker sees them: what llama.cpp refuses fails a whole batch.
        if not tokens:
            return
        smallest = min(tokens)
        largest = max(tokens)
        if smallest < 0 or largest >= self.weights.n_vocab:
            raise ModelError(
                f"tokens from {smallest} to {largest}; "
                f"the vocabulary has {self.weights.n_vocab}"
            )

    def _put_work(self, work: Work) -> None:
        with self._submitting:
            # A forked child has a copy of the engine, but none of its threads.
            if self._closed or os.getpid() != self._process:
                raise self._closed_error()
            self._inbox.put(work)

    def _closed_error(self) -> ModelError:
        return ModelError(f"{self.weights.path}: the engine was closed")
