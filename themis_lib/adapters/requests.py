"""One case as the arguments of one request: Responses or Chat Completions.

The names are those of OpenAI's API reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from themis_lib.adapters.extra_body import without_unset
from themis_lib.adapters.json_objects import JsonObject, without_nulls
from themis_lib.adapters.response_items import response_items

#: Data of an image, audio or a file in a request; no word is as long.
_BASE64 = re.compile("[A-Za-z0-9+/=]{1000,}")
#: Roughly those of a picture of a megapixel.
_TOKENS_OF_A_MEDIUM = 1000

ApiMode = Literal["responses", "chat_completions"]
#: What of an API requests may go to: `completions` continue a text, and `messages` is
#: Anthropic's.
Api = Literal["responses", "chat_completions", "completions", "messages"]


@dataclass(frozen=True)
class Asked:
    """What a request asks for besides its messages; `None` is the provider's default."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    response_format: JsonObject | None = None
    tools: Sequence[JsonObject] = ()
    tool_choice: Any = None
    reasoning_effort: str | None = None
    logprobs: int | None = None
    extra_body: JsonObject = field(default_factory=dict)
    #: This provider's name for the token limit in Chat Completions.
    max_tokens_name: str = "max_completion_tokens"


def chat_request(
    messages: Sequence[JsonObject],
    asked: Asked,
) -> JsonObject:
    """Return the arguments of `chat.completions.create`.

    Instructions are the system message.
    """
    arguments = {
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
        # 0 asks for each token's own log-probability, without alternatives.
        "top_logprobs": asked.logprobs or None,
        "extra_body": asked.extra_body or None,
    }
    # An explicit null is not an absent field: some servers refuse it.
    return without_unset(without_nulls(arguments))


def responses_request(
    messages: Sequence[JsonObject],
    asked: Asked,
) -> JsonObject:
    """Return the arguments of `responses.create`.

    A leading system message becomes `instructions`. A single user turn is sent as text,
    anything else as a list of items; see `response_items`. This API takes neither a
    seed nor stop texts.
    """
    instructions = None
    turns = list(messages)
    # A system message made of parts is not a text, and stays an item of the input.
    if turns and _is_text_turn(turns[0], role="system"):
        instructions = turns[0]["content"]
        turns = turns[1:]
    sent: Any = response_items(turns)
    if len(turns) == 1 and _is_text_turn(turns[0], role="user"):
        sent = turns[0]["content"]
    arguments = {
        "model": asked.model,
        "input": sent,
        "instructions": instructions,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "max_output_tokens": asked.max_tokens,
        "tools": list(asked.tools) or None,
        "tool_choice": asked.tool_choice,
        "top_logprobs": asked.logprobs or None,
        "extra_body": asked.extra_body or None,
    }
    if asked.response_format is not None:
        written = asked.response_format
        inner = written.get("json_schema")
        # Chat Completions nests the schema, this API does not.
        if isinstance(inner, dict):
            written = {
                "type": "json_schema",
                **inner,
            }
        arguments["text"] = {"format": written}
    if asked.reasoning_effort is not None:
        arguments["reasoning"] = {"effort": asked.reasoning_effort}
    if asked.logprobs is not None:
        arguments["include"] = ["message.output_text.logprobs"]
    return without_unset(without_nulls(arguments))


def estimated_tokens(
    request: JsonObject,
    max_tokens: int | None,
) -> float:
    """Return roughly what a request uses: its text and the longest answer, in tokens.

    An image, audio or a file counts as a thousand tokens, however many bytes it has.
    """
    text, media = _BASE64.subn("", str(request))
    # Four characters a token: OpenAI's rule of thumb for English.
    return len(text) / 4 + media * _TOKENS_OF_A_MEDIUM + (max_tokens or 0)


def _is_text_turn(
    turn: JsonObject,
    *,
    role: str,
) -> bool:
    return turn.get("role") == role and isinstance(turn.get("content"), str)
