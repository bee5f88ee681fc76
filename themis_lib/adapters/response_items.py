"""The messages of Chat Completions as items of the Responses API.

The names are those of OpenAI's API reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.identity.digests import canonical_json


def response_items(turns: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the items of a conversation: what has the form of one stays as it is.

    Parts get the API's own types; a message's tool calls and a tool's answer become
    items.

    >>> response_items([{"role": "tool", "tool_call_id": "1", "content": "sunny"}])
    [{'type': 'function_call_output', 'call_id': '1', 'output': 'sunny'}]
    """
    items: list[JsonObject] = []
    for turn in turns:
        calls = turn.get("tool_calls")
        if turn.get("role") == "tool" and "tool_call_id" in turn:
            items.append(_tool_output(turn))
        elif turn.get("role") == "assistant" and _are_function_calls(calls):
            # Beside its calls, a message mostly says nothing.
            if turn.get("content"):
                message = {**turn}
                del message["tool_calls"]
                items.append(_with_typed_parts(message))
            items.extend(map(_function_call, calls or []))
        else:
            items.append(_with_typed_parts(turn))
    return items


def _tool_output(turn: JsonObject) -> JsonObject:
    content = turn.get("content")
    return {
        "type": "function_call_output",
        "call_id": turn["tool_call_id"],
        "output": "" if content is None else _typed_content(content, "input_text"),
    }


def _are_function_calls(calls: Any) -> bool:
    if not isinstance(calls, list) or not calls:
        return False
    return all(
        isinstance(call, dict) and isinstance(call.get("function"), dict)
        for call in calls
    )


def _function_call(call: JsonObject) -> JsonObject:
    function = call["function"]
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        arguments = canonical_json(arguments)
    return {
        "type": "function_call",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": arguments,
    }


def _with_typed_parts(turn: JsonObject) -> JsonObject:
    if "content" not in turn or "role" not in turn:
        return turn
    text_type = "output_text" if turn["role"] == "assistant" else "input_text"
    return {**turn, "content": _typed_content(turn["content"], text_type)}


def _typed_content(
    content: Any,
    text_type: str,
) -> Any:
    """Return a message's content, its parts under the types of this API."""
    if not isinstance(content, list):
        return content
    return [_typed_part(part, text_type) for part in content]


def _typed_part(
    part: Any,
    text_type: str,
) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind == "text":
        return {**part, "type": text_type}
    if kind not in ("image_url", "file"):
        return part
    # These two nest what this API has in the part itself.
    rest = {name: item for name, item in part.items() if name not in ("type", kind)}
    held = part.get(kind)
    if kind == "file":
        # What has another form is left to the server to refuse.
        return (
            {"type": "input_file", **held, **rest} if isinstance(held, dict) else part
        )
    if isinstance(held, dict):
        nested = {name: item for name, item in held.items() if name != "url"}
        return {"type": "input_image", "image_url": held.get("url"), **nested, **rest}
    return {"type": "input_image", "image_url": held, **rest}
