"""The log-probabilities of the end of a prompt, as Completions return them.

A request with `echo` and `logprobs` gets its prompt back, token by token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.reply_faults import check_reply
from themis_lib.adapters.reply_fields import as_plain_json, is_list, read_field
from themis_lib.errors import FatalError, RowError, TransientError


@dataclass(frozen=True)
class EchoedTokens:
    """The tokens of a prompt's end: their log-probabilities, and whether they are greedy.

    `is_greedy` is `None` where the server does not say which tokens are the likeliest.
    """

    logprobs: tuple[float, ...]
    is_greedy: bool | None


def echo_request(
    model: str,
    prompt: str,
    extra_body: Mapping[str, Any],
) -> JsonObject:
    """Return the arguments of `completions.create` that have a prompt rated."""
    arguments: JsonObject = {
        "model": model,
        "prompt": prompt,
        # 0 is no limit for some servers; the token is left out of what is read.
        "max_tokens": 1,
        "temperature": 0,
        "echo": True,
        "logprobs": 1,
    }
    if extra_body:
        arguments["extra_body"] = dict(extra_body)
    return arguments


def echoed_tokens(
    reply: Any,
    continuation: str,
) -> EchoedTokens:
    """Return how a reply rates the continuation that its prompt ends with.

    A token that begins before the continuation and ends in it counts as its own. Raise
    `FatalError` if the server rates no prompts, `RowError` if its tokens do not spell
    the continuation, and what a failure means that the reply reports.
    """
    check_reply(reply)
    choices = read_field(reply, "choices")
    if not is_list(choices) or not choices:
        raise TransientError("the provider's reply has no choices")
    rated = as_plain_json(read_field(choices[0], "logprobs")) or {}
    tokens, logprobs = rated.get("tokens"), rated.get("token_logprobs")
    if not tokens or not logprobs or len(tokens) != len(logprobs):
        raise FatalError(
            "the server returns no log-probabilities of a prompt (Completions with "
            "`echo` and `logprobs`), which rating takes; vLLM does, and llama.cpp's "
            "Python server with --logits_all true"
        )
    end = len(tokens) - _generated_tokens(reply)
    start = _first_token(tokens[:end], continuation)
    found = logprobs[start:end]
    if None in found:
        raise RowError(
            "the server gives no log-probability of a prompt's first token; put a text "
            f"before the continuation {continuation!r:.60}"
        )
    likeliest = (rated.get("top_logprobs") or [None] * len(tokens))[start:end]
    return EchoedTokens(tuple(found), _are_greedy(found, likeliest))


def _are_greedy(
    logprobs: Sequence[float],
    likeliest: Sequence[Mapping[str, float] | None],
) -> bool | None:
    """Return whether each token is the likeliest in its place; `None` if not known."""
    is_known = True
    for logprob, others in zip(logprobs, likeliest, strict=True):
        if not others:
            is_known = False
        elif logprob < max(others.values()):
            return False
    return True if is_known else None


def _generated_tokens(reply: Any) -> int:
    """Return how many tokens of a reply come after the prompt."""
    count = read_field(read_field(reply, "usage"), "completion_tokens")
    return 1 if count is None else int(count)


def _first_token(
    tokens: Sequence[str],
    continuation: str,
) -> int:
    """Return the place of the first token of the continuation that ends the tokens."""
    start = len(tokens)
    spelled = ""
    while start > 0 and len(spelled) < len(continuation):
        start -= 1
        spelled = tokens[start] + spelled
    if not spelled.endswith(continuation):
        raise RowError(
            f"the server's tokens end in {spelled!r:.60}, not in the continuation "
            f"{continuation!r:.60}, so that its log-probability is not known"
        )
    return start
