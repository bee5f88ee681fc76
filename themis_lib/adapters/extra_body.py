"""The setting `extra_body`: fields of a request as the server's own API names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.errors import ComponentError

#: What a request must not set behind the settings' back: one whole answer is read.
_SET_ELSEWHERE = {
    "n": "one answer is read of each request; raise candidate_policy.num_samples",
    "stream": "one whole reply is read of each request; remove it",
    "background": "one whole reply is read of each request; remove it",
}
#: Names of the longest answer, for a server that takes none but one of them.
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
#: The fields that an adapter may set by itself, in either API.
_OWN_FIELDS = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "stop",
        "seed",
        "response_format",
        "text",
        "tools",
        "tool_choice",
        "reasoning_effort",
        "reasoning",
        "logprobs",
        "top_logprobs",
        "include",
    }
)


def check_extra_body(extra_body: Mapping[str, Any]) -> None:
    """Raise `ComponentError` for a field whose replies could not be read."""
    for name, advice in _SET_ELSEWHERE.items():
        if extra_body.get(name):
            raise ComponentError(f"extra_body.{name}: {advice}")


def longest_answer(
    max_tokens: int | None,
    extra_body: Mapping[str, Any],
) -> int | None:
    """Return the most tokens of an answer, by whichever name they are asked for.

    Raises `ComponentError` if there are two, or if one is no number of tokens.
    """
    limits: dict[str, Any] = {}
    if max_tokens is not None:
        limits["max_tokens"] = max_tokens
    for name in _TOKEN_LIMITS:
        # A null leaves the field out of the request.
        if extra_body.get(name) is not None:
            limits[f"extra_body.{name}"] = extra_body[name]
    if len(limits) > 1:
        raise ComponentError(f"{', '.join(limits)}: give one of them")
    for name, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ComponentError(f"{name}={value!r}: give a whole number above 0")
        return value
    return None


def without_unset(arguments: JsonObject) -> JsonObject:
    """Return a request without those of its fields that `extra_body` sets to null."""
    extra = arguments.get("extra_body", {})
    unset = set()
    for name, value in extra.items():
        # Of a field that is not ours, a null may say something to the server.
        if value is None and name in _OWN_FIELDS:
            unset.add(name)
    if not unset:
        return arguments
    kept = {name: value for name, value in arguments.items() if name not in unset}
    kept["extra_body"] = {
        name: value for name, value in extra.items() if name not in unset
    }
    return kept
