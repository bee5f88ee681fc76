"""One text while it is generated: its tokens, chosen from logits, and their text."""

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
        # Only a penalty reads them, and a long prompt has many.
        self._seen: set[int] = set()
        if request.sampling.repetition_penalty != 1:
            self._seen.update(request.prompt)
        constraint = request.constraint
        stops = () if constraint else request.stops
        self._stream = TextStream(stops)
        self._guide: Guide | None = None
        if constraint is not None:
            # With the length, so that the text is complete before it must be cut.
            self._guide = Guide(
                constraint,
                weights.constraint_tokenizer,
                max_tokens=self.longest,
            )

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens that the text follows."""
        return self.request.prompt

    @property
    def position(self) -> int:
        """The position of its newest token, counted from the beginning of the prompt."""
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
        """Choose the next token, and return whether the text is finished.

        `likeliest` is the place of the largest logit.
        """
        token = self._choose_token(logits, likeliest)
        ended = token in self._weights.end_tokens
        if ended:
            text = self._stream.end()
        else:
            text = self._stream.feed(self._weights.piece(token))
        complete = self._guide is not None and self._guide.finished
        finished = ended or complete or self._stream.stopped
        is_last = len(self._tokens) + 1 == self.longest
        cut = is_last and not finished
        done = finished or cut
        # A cut text is a beginning of a longer one, where what waits may turn out to be
        # a stop string. A constrained text has none, and no longer one.
        if done and not ended and self._guide is not None:
            text += self._stream.end()
        self._add_token(token, text, logits)
        if done:
            self.settle(Generation(tuple(self._tokens), "length" if cut else "stop"))
        return done

    def _choose_token(
        self,
        logits: Row,
        likeliest: int,
    ) -> int:
        sampling = self.request.sampling
        is_greedy = sampling.temperature == 0
        # By the place in the text: whatever else is decoded uses up no draw of it.
        draw = 0.0 if is_greedy else self._draws.at(len(self._tokens))
        if sampling.repetition_penalty != 1:
            logits = penalized(
                logits,
                self._seen,
                sampling.repetition_penalty,
            )
            likeliest = int(logits.argmax())
        end_tokens = self._weights.end_tokens
        # Copying a row of the vocabulary is dear: greedily it is rarely needed.
        if self.request.ignore_eos and (not is_greedy or likeliest in end_tokens):
            logits = logits.copy()
            logits[list(end_tokens)] = -np.inf
            likeliest = int(logits.argmax())
        if self._guide is None:
            token = likeliest if is_greedy else pick(logits, sampling, draw)
        # Greedily the mask is needed only where the constraint forbids the likeliest.
        elif is_greedy and self._guide.allows(likeliest):
            token = self._guide.admit(likeliest)
        else:
            # The constraint's vocabulary may be longer than a row of logits.
            mask = self._guide.mask()[: len(logits)]
            allowed = np.where(mask, logits, -np.inf)
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
            # From the row as the model gave it, before penalties and constraints.
            tokens = most_likely(logits, count)
            asked = np.array([token, *tokens])
            chosen, *logprobs = log_probabilities(logits, asked).tolist()
            likely: list[Likely] = []
            for one, logprob in zip(
                tokens.tolist(),
                logprobs,
                strict=True,
            ):
                piece = self._weights.piece(one).decode("utf-8", "replace")
                likely.append(Likely(one, piece, logprob))
            added = Token(
                token,
                text,
                chosen,
                tuple(likely),
            )
        self._tokens.append(added)
        if self._on_token is not None:
            self._on_token(added)
