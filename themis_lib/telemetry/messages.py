"""The content of a call as the conventions write it, for who asks for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from themis_lib.core.models import GenerationResult, Message

_INSTRUCTIONS = ("system", "developer")


def content_attributes(
    case_input: Any,
    result: GenerationResult,
) -> dict[str, str]:
    """Return the messages of a call as JSON, from the conversation that its row keeps.

    Secrets are masked in it. Of a generator that keeps none, input and output are what
    was said.
    """
    turns = list(result.conversation or [])
    answer = Message(role="assistant", content=result.final_output)
    if turns and turns[-1].role == "assistant":
        answer = turns.pop()
    elif not turns:
        turns = [Message(role="user", content=case_input)]
    instructions: list[Any] = []
    while turns and turns[0].role in _INSTRUCTIONS:
        instructions += _parts(turns.pop(0))
    said = {"role": "assistant", "parts": _parts(answer)}
    said["finish_reason"] = result.finish_reason or ""
    asked = [{"role": turn.role, "parts": _parts(turn)} for turn in turns]
    found = {
        "gen_ai.input.messages": _json(asked),
        "gen_ai.output.messages": _json([said]),
    }
    if instructions:
        found["gen_ai.system_instructions"] = _json(instructions)
    return found


def _parts(turn: Message) -> list[dict[str, Any]]:
    if turn.role == "tool":
        response = {"type": "tool_call_response", "id": turn.tool_call_id}
        return [{**response, "response": turn.content}]
    parts = []
    content = turn.content
    items = content if _is_parts(content) else [content]
    for item in items:
        if item is not None:
            parts.append(_part(item))
    for call in turn.tool_calls or ():
        function = call.get("function") or {}
        parts.append(
            {
                "type": "tool_call",
                "id": call.get("id"),
                "name": function.get("name"),
                "arguments": function.get("arguments"),
            }
        )
    return parts


def _is_parts(content: Any) -> bool:
    """Return whether a content is a list of typed parts, and not a JSON value."""
    if not isinstance(content, Sequence) or isinstance(content, str):
        return False
    return all(isinstance(item, dict) and "type" in item for item in content)


def _part(item: Any) -> dict[str, Any]:
    if isinstance(item, dict) and "type" in item:
        if isinstance(item.get("text"), str):
            return {"type": "text", "content": item["text"]}
        # Pictures and sound stay where they are: a span is no place for megabytes.
        return {"type": str(item["type"])}
    text = item if isinstance(item, str) else _json(item)
    return {"type": "text", "content": text}


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    # Half of a surrogate pair, or an integer beyond 64 bits.
    except TypeError:
        return json.dumps(value, default=str)
