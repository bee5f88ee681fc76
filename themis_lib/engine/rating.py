"""Continuations of a prompt while they are rated.

They are decoded as texts are, with tokens that are given instead of chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from themis_lib.engine.generation import Pending
from themis_lib.engine.sampling import Row, log_probabilities


@dataclass(
    frozen=True,
    slots=True,
)
class Rated:
    """A rated continuation: the natural logarithms of its tokens' probabilities.

    It is greedy if each of its tokens was the likeliest.
    """

    logprobs: tuple[float, ...]
    is_greedy: bool


class Rating(Pending[list[Rated]]):
    """The continuations of a prompt while they are rated, in the order they came."""

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
        likeliest = int(logits.argmax())
        longer: list[Continuation] = []
        for continuation, logprob in zip(
            beginnings,
            first.tolist(),
            strict=True,
        ):
            continuation.add(logprob, likeliest)
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
        self.settle([one.rated() for one in self._continuations])


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
        self._is_greedy = True

    def add(
        self,
        logprob: float,
        likeliest: int,
    ) -> None:
        """Note the next token's log-probability and which token was the likeliest."""
        self._is_greedy &= self.tokens[len(self.logprobs)] == likeliest
        self.logprobs.append(logprob)

    def rated(self) -> Rated:
        """Return what its tokens were rated as."""
        return Rated(tuple(self.logprobs), self._is_greedy)

    @property
    def future(self) -> Future[list[Rated]]:
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
        """Rate the next token, and return whether it was the last."""
        token = self.tokens[len(self.logprobs)]
        logprobs = log_probabilities(logits, np.array([token]))
        self.add(float(logprobs[0]), likeliest)
        if self.finished:
            self._rating.finish_one()
        return self.finished

    def fail(self, error: BaseException) -> None:
        """Fail the rating with an error, unless it has failed already."""
        # Each of its continuations fails on its own when a batch does.
        if not self.future.done():
            self._rating.fail(error)
