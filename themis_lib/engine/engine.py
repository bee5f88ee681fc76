"""One model in memory, which decodes many texts at a time on threads of its own.

Whoever asks, from any thread or loop, gets the same tokens and the same bits of
log-probability whether a text is generated alone, beside others, in any order, after
anything else, or in another process. Each of the three things this takes stands in one
place: how a sequence may be computed (`invariance`), where its draws come from
(`sampling`), and what is kept from earlier prompts (`slots`).
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from themis_lib.engine.generation import Generation, OnToken, Request
from themis_lib.engine.invariance import Invariance
from themis_lib.engine.rating import Rating
from themis_lib.engine.sequence import LiveSequence
from themis_lib.engine.weights import Weights
from themis_lib.engine.worker import Work, Worker
from themis_lib.errors import ModelError


class Engine:
    """Generates texts and rates continuations with one model, until `close`.

    `window` is the most tokens of a prompt and its text together. Each of the `workers`
    decodes up to `slots` texts at a time, computing with `threads` threads. Raises
    `ModelError` where memory does not suffice.
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
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
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
        except BaseException:
            self.close()
            raise

    def submit(
        self,
        request: Request,
        on_token: OnToken | None = None,
    ) -> Future[Generation]:
        """Begin a text. Cancel the future to give it up; the engine then drops it
        before the next token.

        Raises `ConfigError` for a constraint that cannot be met, and `ModelError` for a
        prompt that is empty, leaves no room in the window, or has tokens that the
        vocabulary lacks.
        """
        self._check_prompt(request.prompt)
        if request.max_tokens < 1:
            raise ModelError(f"max_tokens={request.max_tokens}: ask for at least one")
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
    ) -> Future[list[list[float]]]:
        """The natural logarithm of the probability of each token of each continuation
        of a prompt.

        The prompt is computed once. All first tokens come from the row after it;
        whatever is longer is decoded as a text is, a step a token, beside each other
        and beside texts, and has the bits that it has when it is generated. A worker
        begins nothing else before the last continuation has a slot. Raises `ModelError`
        where the prompt is empty, does not fit the window together with a continuation,
        or has tokens that the vocabulary lacks.
        """
        self._check_prompt(prompt)
        for continuation in continuations:
            self._check_tokens(continuation)
        room, longest = self.room(prompt), max(map(len, continuations), default=0)
        if longest > room:
            raise ModelError(
                f"a continuation of {longest} tokens; a prompt of {len(prompt)} leaves room for {room} in this window"
            )
        rating = Rating(prompt, continuations)
        self._put_work(rating)
        return rating.future

    def room(self, prompt: Sequence[int]) -> int:
        """Tokens that may follow a prompt in the window: of the last one nothing is
        kept.
        """
        return self.window - len(prompt) + 1

    def close(self) -> None:
        """End what is going on and what is waiting with an error, stop the threads and
        free the memory.
        """
        with self._submitting:
            self._closed = True
        for worker in self._workers:
            worker.stop()
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
                f"a prompt of {len(prompt)} tokens; this engine takes 1 to {self.window - 1}"
            )
        self._check_tokens(prompt)

    def _check_tokens(self, tokens: Sequence[int]) -> None:
        if tokens and not 0 <= min(tokens) <= max(tokens) < self.weights.n_vocab:
            raise ModelError(
                f"tokens from {min(tokens)} to {max(tokens)}; the vocabulary has {self.weights.n_vocab}"
            )

    def _put_work(self, work: Work) -> None:
        with self._submitting:
            if (
                self._closed or os.getpid() != self._process
            ):  # a fork has no threads of its parent's
                raise self._closed_error()
            self._inbox.put(work)

    def _closed_error(self) -> ModelError:
        return ModelError(f"{self.weights.path}: the engine was closed")
