"""One text while it is generated: chooses its tokens from logits and keeps what they
say.
"""

from __future__ import annotations

import numpy as np

from themis_lib.engine.constraints.guide import Guide
from themis_lib.engine.generation import (
    Generation,
    Likely,
    OnToken,
    Pending,
    Request,
    Token,
)
from themis_lib.engine.sampling import (
    Draws,
    Row,
    log_probabilities,
    most_likely,
    penalized,
    pick,
)
from themis_lib.engine.text import TextStream
from themis_lib.engine.weights import Weights


class LiveSequence(Pending[Generation]):
    """A text in the making. Nothing in it depends on any other.

    Raises `ConfigError` for a constraint that no text of the length asked for
    satisfies.
    """

    def __init__(
        self,
        request: Request,
        weights: Weights,
        *,
        room: int,
        on_token: OnToken | None,
    ) -> None:
        super().__init__()
        self.request = request
        self.longest = min(request.max_tokens, room)
        self._weights = weights
        self._on_token = on_token
        self._tokens: list[Token] = []
        self._draws = Draws(request.seed)
        self._seen = (
            set(request.prompt) if request.sampling.repetition_penalty != 1 else set()
        )
        constraint = request.constraint
        self._stream = TextStream(() if constraint else request.stops)
        self._guide: Guide | None = None
        if constraint is not None:
            self._guide = Guide(
                constraint, weights.constraint_tokenizer, max_tokens=self.longest
            )

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens that the text follows."""
        return self.request.prompt

    @property
    def position(self) -> int:
        """Where its newest token stands, counted from the beginning of the prompt."""
        return len(self.prompt) + len(self._tokens) - 1

    @property
    def newest(self) -> int:
        """The token chosen last."""
        return self._tokens[-1].token

    def advance(
        self,
        logits: Row,
        likeliest: int,
    ) -> bool:
        """Choose the next token; whether the text is finished. `likeliest` is the place
        of the largest logit.
        """
        token = self._choose_token(logits, likeliest)
        ended = token in self._weights.end_tokens
        text = (
            self._stream.end()
            if ended
            else self._stream.feed(self._weights.piece(token))
        )
        complete = self._guide is not None and self._guide.finished
        cut = len(self._tokens) + 1 == self.longest and not (
            ended or complete or self._stream.stopped
        )
        if not ended and (complete or (cut and self._guide is not None)):
            text += self._stream.end()
        self._add_token(token, text, logits)
        if ended or complete or self._stream.stopped or cut:
            self.settle(Generation(tuple(self._tokens), "length" if cut else "stop"))
            return True
        return False

    def _choose_token(
        self,
        logits: Row,
        likeliest: int,
    ) -> int:
        sampling = self.request.sampling
        draw = self._draws.at(len(self._tokens)) if sampling.temperature else 0.0
        if sampling.repetition_penalty != 1:
            logits = penalized(logits, self._seen, sampling.repetition_penalty)
            likeliest = int(logits.argmax())
        if self.request.ignore_eos and (
            sampling.temperature or likeliest in self._weights.end_tokens
        ):
            logits = logits.copy()
            logits[list(self._weights.end_tokens)] = -np.inf
            likeliest = int(logits.argmax())
        if self._guide is None:
            token = pick(logits, sampling, draw) if sampling.temperature else likeliest
        elif not sampling.temperature and self._guide.allows(likeliest):
            token = self._guide.admit(likeliest)
        else:
            allowed = np.where(self._guide.mask()[: len(logits)], logits, -np.inf)
            token = self._guide.admit(pick(allowed, sampling, draw))
        self._seen.add(token)
        return token

    def _add_token(
        self,
        token: int,
        text: str,
        logits: Row,
    ) -> None:
        count = self.request.top_logprobs
        if count is None:
            added = Token(token, text)
        else:
            likely = most_likely(logits, count)
            chosen, *others = log_probabilities(
                logits, np.array([token, *likely])
            ).tolist()
            pieces = [
                self._weights.piece(one).decode("utf-8", "replace")
                for one in likely.tolist()
            ]
            beside = zip(
                likely.tolist(),
                pieces,
                others,
                strict=True,
            )
            added = Token(
                token,
                text,
                chosen,
                tuple(Likely(*one) for one in beside),
            )
        self._tokens.append(added)
        if self._on_token is not None:
            self._on_token(added)
