"""Continuations of a prompt while they are rated.

They are decoded as texts are, with tokens that are given instead of chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from themis_lib.engine.generation import Pending
from themis_lib.engine.sampling import Row, log_probabilities


class Rating(Pending[list[list[float]]]):
    """The log-probabilities of the tokens of continuations of a prompt, in the making.

    They are natural logarithms, in the order of the continuations.
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
        """Rate all first tokens from the row after the prompt.

        Return the continuations that have more tokens.
        """
        # An empty continuation is finished already, and has no first token.
        beginnings: list[Continuation] = []
        for continuation in self._continuations:
            if not continuation.finished:
                beginnings.append(continuation)
        # All at once: the sum over the vocabulary costs more than the rest.
        first_tokens = [one.tokens[0] for one in beginnings]
        first = log_probabilities(logits, np.array(first_tokens, dtype=np.int64))
        longer: list[Continuation] = []
        for continuation, logprob in zip(
            beginnings,
            first.tolist(),
            strict=True,
        ):
            continuation.logprobs.append(logprob)
            if not continuation.finished:
                longer.append(continuation)
        self._unfinished = len(longer)
        if not longer:
            self._settle_logprobs()
        return longer

    def finish_one(self) -> None:
        """Note that one more continuation is finished; the last one settles the rating."""
        self._unfinished -= 1
        if not self._unfinished:
            self._settle_logprobs()

    def _settle_logprobs(self) -> None:
        self.settle([one.logprobs for one in self._continuations])


class Continuation:
    """One continuation of a rating; it takes a slot as a text does.

    If it is cancelled or fails, so does the whole rating.
    """

    def __init__(
        self,
        rating: Rating,
        tokens: Sequence[int],
    ) -> None:
        self.logprobs: list[float] = []
        self.tokens = list(tokens)
        self._rating = rating

    @property
    def future(self) -> Future[list[list[float]]]:
        """The future of the rating."""
        return self._rating.future

    @property
    def finished(self) -> bool:
        """Whether each of its tokens is rated."""
        return len(self.logprobs) == len(self.tokens)

    @property
    def position(self) -> int:
        """The position of its newest token, counted from the beginning of the prompt."""
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
        """Rate the next token, and return whether it was the last.

        `likeliest` is there for texts, which are advanced in the same way.
        """
        token = self.tokens[len(self.logprobs)]
        logprobs = log_probabilities(logits, np.array([token]))
        self.logprobs.append(float(logprobs[0]))
        if self.finished:
            self._rating.finish_one()
        return self.finished

    def fail(self, error: BaseException) -> None:
        """Fail the rating with an error, unless it has failed already."""
        # Each of its continuations fails on its own when a batch does.
        if not self.future.done():
            self._rating.fail(error)
