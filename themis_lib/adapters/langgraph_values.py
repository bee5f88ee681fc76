"""The values that graphs pass around, as JSON.

Messages become what chat APIs write, models and dataclasses become objects.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pydantic_core import PydanticSerializationError, to_jsonable_python

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.core.models import Message
from themis_lib.identity.digests import canonical_json

#: LangChain's message types for which chat APIs have another name.
_ROLES = {
    "human": "user",
    "ai": "assistant",
}

_Convert: TypeAlias = Callable[[Any], Any]


def as_json(value: Any) -> Any:
    """Return a value as JSON.

    Raises `ValueError`, naming the type, if a part of it is not JSON.
    """

    def refuse(unknown: Any) -> Any:
        raise ValueError(f"{type(unknown).__name__} is not JSON")

    try:
        return _to_json(
            value,
            as_json,
            fallback=refuse,
        )
    except PydanticSerializationError as error:
        raise ValueError(str(error)) from None


def shown(value: Any) -> Any:
    """Return a value as JSON for display: a part that is not JSON is its type's name.

    >>> shown({"model": object(), "share": float("nan")})
    {'model': '<object>', 'share': 'nan'}
    """
    # JSON has no name for these, and a trace must not cost its row.
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)

    def name_type(unknown: Any) -> str:
        # Not its `repr`, which may contain an address in memory.
        return f"<{type(unknown).__name__}>"

    return _to_json(
        value,
        shown,
        fallback=name_type,
    )


def conversation_of(state: Any) -> list[Message] | None:
    """Return the messages of a final state, or `None` if it has none."""
    if isinstance(state, Mapping):
        turns = state.get("messages")
    else:
        turns = getattr(state, "messages", None)
    if not isinstance(turns, (list, tuple)) or not turns:
        return None
    messages = []
    try:
        for turn in shown(turns):
            known = {}
            if isinstance(turn, dict):
                known = {key: turn[key] for key in turn if key in Message.model_fields}
            messages.append(Message.model_validate(known))
    except ValueError:
        # The state's `messages` are something else of that name.
        return None
    return messages


def loaded_class(
    module: str,
    name: str,
) -> type:
    """Return a class of an optional package, or a class without instances.

    The package is not imported: if the graph has not imported it either, none of the
    graph's values can be an instance.
    """
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else _Nothing


class _Nothing:
    """A class without instances."""


def _to_json(
    value: Any,
    convert: _Convert,
    *,
    fallback: _Convert,
) -> Any:
    """Return a value as JSON, its parts by `convert`, what is unknown by `fallback`."""
    if isinstance(value, loaded_class("langchain_core.messages", "BaseMessage")):
        return _message_to_json(value, convert)
    if isinstance(value, Mapping):
        return {str(key): convert(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [convert(item) for item in value]
    if isinstance(value, (set, frozenset)):
        # The order of a set differs between processes.
        return sorted(map(convert, value), key=canonical_json)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {}
        for field in dataclasses.fields(value):
            fields[field.name] = convert(getattr(value, field.name))
        return fields
    return to_jsonable_python(value, fallback=fallback)


def _message_to_json(
    message: Any,
    convert: _Convert,
) -> JsonObject:
    """Return a LangChain message as chat APIs write it."""
    # Without its id and its response's metadata, which differ in every run.
    role = getattr(message, "role", None)
    turn: JsonObject = {
        "role": role or _ROLES.get(message.type, message.type),
        "content": convert(message.content),
    }
    if message.name:
        turn["name"] = message.name
    tool_calls = []
    for call in getattr(message, "tool_calls", None) or ():
        # Chat APIs write arguments as a text.
        function = {
            "name": call["name"],
            "arguments": canonical_json(convert(call["args"])),
        }
        tool_call = {
            "id": call.get("id"),
            "type": "function",
            "function": function,
        }
        tool_calls.append(tool_call)
    if tool_calls:
        turn["tool_calls"] = tool_calls
    call_id = getattr(message, "tool_call_id", None)
    if call_id:
        turn["tool_call_id"] = call_id
    return turn
