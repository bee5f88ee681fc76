"""Continuations of a prompt while they are rated: decoded as a text is, with tokens
that are given and not chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from themis_lib.engine.generation import Pending
from themis_lib.engine.sampling import Row, log_probabilities


class Rating(Pending[list[list[float]]]):
    """Continuations of a prompt, and the natural logarithm of the probability of each
    of their tokens to be.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        continuations: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.prompt = tuple(prompt)
        self._continuations = [Continuation(self, tokens) for tokens in continuations]
        self._unfinished = 0

    def begin(self, logits: Row) -> list[Continuation]:
        """Rate all first tokens from the row after the prompt; the continuations that
        have more of them.
        """
        beginnings = [
            continuation
            for continuation in self._continuations
            if not continuation.finished
        ]
        first = log_probabilities(
            logits, np.array([one.tokens[0] for one in beginnings], dtype=np.int64)
        )
        for continuation, logprob in zip(beginnings, first.tolist(), strict=True):
            continuation.logprobs.append(logprob)
        longer = [one for one in self._continuations if not one.finished]
        self._unfinished = len(longer)
        if not longer:
            self._settle_if_done()
        return longer

    def finish_one(self) -> None:
        """Give the ratings to whoever asked, if this was the last one missing."""
        self._unfinished -= 1
        if not self._unfinished:
            self._settle_if_done()

    def _settle_if_done(self) -> None:
        self.settle([one.logprobs for one in self._continuations])


class Continuation:
    """One of the continuations; it takes a slot as a text does. What becomes of it
    concerns the whole rating.
    """

    def __init__(
        self,
        rating: Rating,
        tokens: Sequence[int],
    ) -> None:
        self.logprobs: list[float] = []
        self._rating = rating
        self.tokens = list(tokens)

    @property
    def future(self) -> Future[list[list[float]]]:
        """The rating's."""
        return self._rating.future

    @property
    def finished(self) -> bool:
        """Whether each of its tokens is rated."""
        return len(self.logprobs) == len(self.tokens)

    @property
    def position(self) -> int:
        """Where its newest token stands, counted from the beginning of the prompt."""
        return len(self._rating.prompt) + len(self.logprobs) - 1

    @property
    def newest(self) -> int:
        """The token rated last."""
        return self.tokens[len(self.logprobs) - 1]

    def advance(
        self,
        logits: Row,
        likeliest: int,
    ) -> bool:
        """Rate the next token; whether it was the last."""
        token = self.tokens[len(self.logprobs)]
        self.logprobs.append(float(log_probabilities(logits, np.array([token]))[0]))
        if self.finished:
            self._rating.finish_one()
        return self.finished

    def fail(self, error: BaseException) -> None:
        """End the rating with an error."""
        if not self.future.done():
            self._rating.fail(error)
