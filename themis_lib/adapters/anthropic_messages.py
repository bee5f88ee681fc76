"""The turns of a conversation as messages of Anthropic's Messages API.

The names are those of Anthropic's API reference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from themis_lib.adapters.json_objects import JsonObject, without_nulls
from themis_lib.errors import RowError

_SYSTEM_ROLES = ("system", "developer")
_EMPTY = {"type": "text", "text": ""}


def split_system(
    turns: Sequence[JsonObject],
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the system messages as blocks, and the other turns.

    This API has one place for them, before the conversation.
    """
    system: list[JsonObject] = []
    others = []
    for turn in turns:
        if turn.get("role") in _SYSTEM_ROLES:
            system += content_blocks(turn.get("content"))
        else:
            others.append(turn)
    return system, others


def message_turns(turns: Sequence[JsonObject]) -> list[JsonObject]:
    """Return a conversation without system messages as messages.

    Turns of one role in a row become one message: what several tools answered has to be
    in one. Raise `RowError` for a turn that this API cannot be sent.

    >>> message_turns([{"role": "tool", "tool_call_id": "1", "content": "sunny"}])
    [{'role': 'user', 'content': [{'type': 'tool_result', 'tool_use_id': '1', 'content': 'sunny'}]}]
    """
    messages: list[JsonObject] = []
    for turn in turns:
        message = _message(turn)
        if messages and messages[-1]["role"] == message["role"]:
            before = content_blocks(messages[-1]["content"])
            content = [*before, *content_blocks(message["content"])]
            messages[-1] = {**message, "content": content}
        else:
            messages.append(message)
    return messages


def content_blocks(content: Any) -> list[JsonObject]:
    """Return a message's content as blocks, without empty texts: the API refuses them."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = content if isinstance(content, list) else [content]
    return [block for block in blocks if block != _EMPTY]


def _message(turn: JsonObject) -> JsonObject:
    role = turn.get("role")
    content = turn.get("content")
    if role == "tool":
        result = {
            "type": "tool_result",
            "tool_use_id": turn.get("tool_call_id"),
            "content": content,
            "is_error": turn.get("is_error"),
        }
        return {"role": "user", "content": [without_nulls(result)]}
    if role not in ("user", "assistant"):
        raise RowError(
            f"a turn has the role {role!r}; Anthropic's API takes user, assistant, "
            "system and tool"
        )
    calls = turn.get("tool_calls") or []
    # A model that thought before it called a tool has to see its thoughts unchanged.
    thoughts = turn.get("thinking_blocks") or []
    if calls or thoughts:
        uses = map(_tool_use, calls)
        return {"role": role, "content": [*thoughts, *content_blocks(content), *uses]}
    if isinstance(content, str):
        return {"role": role, "content": content}
    return {"role": role, "content": content_blocks(content)}


def _tool_use(call: JsonObject) -> JsonObject:
    function = call.get("function") or call
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments, strict=False)
        except ValueError:
            arguments = None
    if not isinstance(arguments, dict):
        raise RowError(
            f"the call of the tool {function.get('name')!r} in the conversation has "
            "arguments that are no JSON object, which Anthropic's API requires"
        )
    use = {
        "type": "tool_use",
        "id": call.get("id"),
        "name": function.get("name"),
        "input": arguments,
    }
    return without_nulls(use)
