"""One case as the arguments of one request of Anthropic's Messages API.

The names are those of Anthropic's API reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from themis_lib.adapters.anthropic_messages import (
    content_blocks,
    message_turns,
    split_system,
)
from themis_lib.adapters.extra_body import without_unset
from themis_lib.adapters.json_objects import JsonObject, without_nulls

#: How long a provider keeps the beginning of a prompt.
CacheTtl = Literal["5m", "1h"]
#: This API's name of what OpenAI calls so.
_CHOICES = {"required": "any"}


@dataclass(frozen=True)
class AskedOfAnthropic:
    """What a request asks for besides its messages; `None` is the provider's default."""

    model: str
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: Sequence[str] = ()
    thinking: JsonObject | None = None
    effort: str | None = None
    schema: JsonObject | None = None
    tools: Sequence[JsonObject] = ()
    tool_choice: JsonObject | None = None
    betas: Sequence[str] = ()
    prompt_cache: CacheTtl | None = None
    extra_body: JsonObject = field(default_factory=dict)


def messages_request(
    turns: Sequence[JsonObject],
    asked: AskedOfAnthropic,
) -> JsonObject:
    """Return the arguments of `messages.create`. This API takes no seed.

    Raise `RowError` for a turn that cannot be sent.
    """
    system, others = split_system(turns)
    output_config: JsonObject = {"effort": asked.effort}
    if asked.schema is not None:
        output_config["format"] = {"type": "json_schema", "schema": asked.schema}
    arguments = {
        "model": asked.model,
        "max_tokens": asked.max_tokens,
        "system": _plain_if_single(system),
        "messages": message_turns(others),
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop_sequences": list(asked.stop) or None,
        "thinking": asked.thinking,
        "output_config": without_nulls(output_config) or None,
        "tools": list(asked.tools) or None,
        "tool_choice": asked.tool_choice,
        "extra_headers": _beta_headers(asked.betas),
        "extra_body": asked.extra_body or None,
    }
    request = without_unset(without_nulls(arguments))
    if asked.prompt_cache is not None:
        return with_breakpoints(request, asked.prompt_cache)
    return request


def tool_definition(tool: JsonObject) -> JsonObject:
    """Return a tool as this API defines it; one of its own stays as it is.

    >>> tool_definition({"type": "function", "function": {"name": "f"}})
    {'name': 'f', 'input_schema': {'type': 'object'}}
    """
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, Mapping):
        return tool
    definition = {
        "name": function.get("name"),
        "description": function.get("description"),
        "input_schema": function.get("parameters") or {"type": "object"},
        "strict": function.get("strict"),
    }
    return without_nulls(definition)


def tool_choice_object(choice: Any) -> Any:
    """Return a choice of tools as this API writes it.

    >>> tool_choice_object("required")
    {'type': 'any'}
    """
    if isinstance(choice, str):
        return {"type": _CHOICES.get(choice, choice)}
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        named = choice.get("function") or choice
        return {"type": "tool", "name": named.get("name")}
    return choice


def with_breakpoints(
    request: JsonObject,
    ttl: CacheTtl,
) -> JsonObject:
    """Return a request that has the provider keep what other requests begin with too.

    That ends with the tools, with the system message, and with the turn before the last
    of the user: examples that are turns, or the history of a conversation. A request
    that has breakpoints already is returned as it is.
    """
    if _has_breakpoint(request):
        return request
    # Five minutes are the API's default.
    mark = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
    marked = dict(request)
    if "tools" in marked:
        marked["tools"] = _mark_last(marked["tools"], mark)
    if "system" in marked:
        marked["system"] = _mark_last(content_blocks(marked["system"]), mark)
    asking = _last_user_message(marked["messages"])
    if asking > 0:
        messages = list(marked["messages"])
        before = messages[asking - 1]
        content = _mark_last(content_blocks(before["content"]), mark)
        messages[asking - 1] = {**before, "content": content}
        marked["messages"] = messages
    return marked


def _plain_if_single(blocks: Sequence[JsonObject]) -> Any:
    """Return a lone text as it is, `None` if there is nothing."""
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return blocks[0]["text"]
    return list(blocks) or None


def _beta_headers(betas: Sequence[str]) -> JsonObject | None:
    return {"anthropic-beta": ",".join(betas)} if betas else None


def _last_user_message(messages: Sequence[JsonObject]) -> int:
    """Return the place of the last message of the user, 0 if there is none."""
    for at in range(len(messages) - 1, 0, -1):
        if messages[at]["role"] == "user":
            return at
    return 0


def _mark_last(
    blocks: Sequence[JsonObject],
    mark: JsonObject,
) -> list[JsonObject]:
    marked = list(blocks)
    # A thought takes no mark.
    if marked and marked[-1].get("type") not in ("thinking", "redacted_thinking"):
        marked[-1] = {**marked[-1], "cache_control": mark}
    return marked


def _has_breakpoint(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "cache_control" in value or any(map(_has_breakpoint, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_breakpoint, value))
    return False
