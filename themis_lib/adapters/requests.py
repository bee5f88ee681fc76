"""One case as the arguments of one request: Responses or Chat Completions, as OpenAI's
API reference names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

ApiMode = Literal["responses", "chat_completions"]


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the messages; null leaves it to the provider."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    tools: Sequence[dict[str, Any]] = ()
    tool_choice: Any = None
    reasoning_effort: str | None = None
    logprobs: int | None = None
    extra_body: dict[str, Any] = field(default_factory=dict)
    #: What this provider calls the longest answer in Chat Completions.
    max_tokens_name: str = "max_completion_tokens"


def chat_request(
    messages: Sequence[dict[str, Any]],
    asked: Asked,
) -> dict[str, Any]:
    """The arguments of `chat.completions.create`; instructions are the system's
    message.
    """
    return _given_arguments(
        {
            "model": asked.model,
            "messages": list(messages),
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            asked.max_tokens_name: asked.max_tokens,
            "stop": list(asked.stop) or None,
            "seed": asked.seed,
            "response_format": asked.response_format,
            "tools": list(asked.tools) or None,
            "tool_choice": asked.tool_choice,
            "reasoning_effort": asked.reasoning_effort,
            "logprobs": None if asked.logprobs is None else True,
            "top_logprobs": asked.logprobs or None,
            "extra_body": asked.extra_body or None,
        }
    )


def responses_request(
    messages: Sequence[dict[str, Any]],
    asked: Asked,
) -> dict[str, Any]:
    """The arguments of `responses.create`; a leading system message is its
    `instructions`.

    This API takes neither a seed nor stop texts. A single user turn is sent as text,
    anything else as a list of items.
    """
    instructions, turns = None, list(messages)
    if (
        turns
        and turns[0].get("role") == "system"
        and isinstance(turns[0].get("content"), str)
    ):
        instructions, turns = turns[0]["content"], turns[1:]
    alone = (
        len(turns) == 1
        and turns[0].get("role") == "user"
        and isinstance(turns[0].get("content"), str)
    )
    return _given_arguments(
        {
            "model": asked.model,
            "input": turns[0]["content"] if alone else turns,
            "instructions": instructions,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "max_output_tokens": asked.max_tokens,
            "text": None
            if asked.response_format is None
            else {"format": _flat_format(asked.response_format)},
            "tools": list(asked.tools) or None,
            "tool_choice": asked.tool_choice,
            "reasoning": None
            if asked.reasoning_effort is None
            else {"effort": asked.reasoning_effort},
            "include": None
            if asked.logprobs is None
            else ["message.output_text.logprobs"],
            "top_logprobs": asked.logprobs or None,
            "extra_body": asked.extra_body or None,
        }
    )


def estimated_tokens(
    request: dict[str, Any],
    max_tokens: int | None,
) -> float:
    """Roughly what a request will use: four characters a token, and the longest answer."""
    return len(str(request)) / 4 + (max_tokens or 0)


def _flat_format(response_format: dict[str, Any]) -> dict[str, Any]:
    """A Chat Completions format as the Responses API writes it."""
    inner = response_format.get("json_schema")
    return (
        {"type": "json_schema", **inner} if isinstance(inner, dict) else response_format
    )


def _given_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
