"""Texts and log-probabilities in the form in which callers get them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from themis_lib.engine.generation import Token
from themis_lib.steadytext.question import Answer, Question
from themis_lib.steadytext.remote import ProviderModel, RemoteText

#: Log-probabilities by name, as `generate` and `generate_iter` return them.
Logprobs = dict[str, Any]


class Text(str):
    """A generated text; `metadata` says how it came about.

    Its keys: `model`, `seed`, `temperature`, `finish_reason` ("stop" or "length"),
    `prompt_tokens`, `dropped_prompt_tokens` (left out of the middle of a prompt that
    was too long), `output_tokens`, `cached`, and `fallback`, true where no model could
    be loaded.
    """

    __slots__ = ("metadata",)
    metadata: Mapping[str, Any]

    def __new__(
        cls,
        text: str,
        metadata: Mapping[str, Any],
    ) -> Text:
        self = super().__new__(cls, text)
        self.metadata = metadata
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A `str` subclass with slots would come back from a pickle without `metadata`.
        return (Text, (str(self), dict(self.metadata)))


def text_of_answer(
    question: Question,
    answer: Answer,
    temperature: float,
) -> Text:
    """Return the text of a local model's answer, or of the fallback's.

    `temperature` is the one asked for, which may differ from the one that was sampled
    at: see `Question.sampling`.
    """
    metadata = {
        "model": question.model.file.name if question.model else None,
        "seed": question.seed,
        "temperature": temperature,
        "finish_reason": answer.generation.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "dropped_prompt_tokens": answer.dropped_prompt_tokens,
        "output_tokens": len(answer.generation.tokens),
        "cached": answer.source == "cache",
        "fallback": answer.source == "fallback",
    }
    return Text(answer.generation.text, metadata)


def text_of_remote(
    remote: ProviderModel,
    written: RemoteText,
    *,
    seed: int,
    temperature: float,
) -> Text:
    """Return the text that a remote model wrote, with the same keys of metadata."""
    metadata = {
        "model": f"{remote.provider}:{remote.name}",
        "seed": seed,
        "temperature": temperature,
        "finish_reason": written.finish_reason,
        "prompt_tokens": written.prompt_tokens,
        # Providers refuse a prompt that is too long instead of cutting it.
        "dropped_prompt_tokens": 0,
        "output_tokens": written.output_tokens,
        "cached": written.cached,
        "fallback": False,
    }
    return Text(written.text, metadata)


def logprobs_of_answer(answer: Answer) -> Logprobs | None:
    """Return an answer's log-probabilities by token, or `None` for the fallback's.

    `confidence` is the geometric mean of the tokens' probabilities, from 0 to 1: the
    inverse of the text's perplexity.
    """
    if answer.source == "fallback":
        return None
    tokens = answer.generation.tokens
    logprobs = [token.logprob for token in tokens]
    known = [logprob for logprob in logprobs if logprob is not None]
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": logprobs,
        "top_logprobs": list(map(_describe_likely_tokens, tokens)),
        "confidence": math.exp(math.fsum(known) / len(known)),
    }


def logprobs_of_token(token: Token) -> Logprobs | None:
    """Return one token's log-probabilities, or `None` where it came from no model.

    `confidence` is the token's probability, from 0 to 1.
    """
    if token.logprob is None:
        return None
    return {
        "token_id": token.token,
        "logprob": token.logprob,
        "top_logprobs": _describe_likely_tokens(token),
        "confidence": math.exp(token.logprob),
    }


def _describe_likely_tokens(token: Token) -> list[dict[str, Any]]:
    described = []
    for likely in token.likely:
        described.append(
            {
                "token_id": likely.token,
                "token": likely.text,
                "logprob": likely.logprob,
            }
        )
    return described
