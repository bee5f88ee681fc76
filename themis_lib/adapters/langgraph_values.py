"""What graphs pass around as JSON: messages as chat APIs write them, models and
dataclasses as objects.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from themis_lib.core.models import Message
from themis_lib.identity.digests import canonical_json

#: LangChain's types of messages that chat APIs call otherwise.
_ROLES = {"human": "user", "ai": "assistant"}


def as_json(value: Any) -> Any:
    """A value as JSON. Raises `ValueError` where it holds what is not JSON, naming its
    type.
    """
    try:
        return _to_json(value, _refuse_value)
    except PydanticSerializationError as error:
        raise ValueError(str(error)) from None


def shown(value: Any) -> Any:
    """A value as JSON to look at: what is not JSON is named by its type.

    >>> shown({"model": object(), "share": float("nan")})
    {'model': '<object>', 'share': 'nan'}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return _to_json(value, lambda unknown: f"<{type(unknown).__name__}>", each=shown)


def conversation_of(state: Any) -> list[Message] | None:
    """The messages that a final state holds, or null."""
    turns = (
        state.get("messages")
        if isinstance(state, Mapping)
        else getattr(state, "messages", None)
    )
    if not isinstance(turns, (list, tuple)) or not turns:
        return None
    try:
        return [_message_turn(one) for one in shown(turns)]
    except ValueError:  # something else that goes by the name of messages
        return None


def loaded_class(
    module: str,
    name: str,
) -> type:
    """A class of a package that is imported here only if the graph has done so; else
    one without instances.
    """
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else _Nothing


class _Nothing:
    """The class of no object."""


def _refuse_value(value: Any) -> Any:
    raise ValueError(f"{type(value).__name__} is not JSON")


def _to_json(
    value: Any,
    unknown: Callable[[Any], Any],
    each: Callable[[Any], Any] | None = None,
) -> Any:
    each = each or (lambda item: _to_json(item, unknown))
    if isinstance(value, loaded_class("langchain_core.messages", "BaseMessage")):
        return _message_json(value, each)
    if isinstance(value, Mapping):
        return {str(key): each(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [each(item) for item in value]
    if isinstance(
        value, (set, frozenset)
    ):  # in an order that is the same in every process
        return sorted((each(item) for item in value), key=canonical_json)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: each(getattr(value, item.name))
            for item in dataclasses.fields(value)
        }
    return to_jsonable_python(value, fallback=unknown)


def _message_json(
    message: Any,
    each: Callable[[Any], Any],
) -> dict[str, Any]:
    """A LangChain message without its id and its response's metadata, which are another
    in every run.
    """
    turn: dict[str, Any] = {
        "role": getattr(message, "role", None)
        or _ROLES.get(message.type, message.type),
        "content": each(message.content),
    }
    if message.name:
        turn["name"] = message.name
    if calls := getattr(message, "tool_calls", None):
        turn["tool_calls"] = [_tool_call(call, each) for call in calls]
    if call_id := getattr(message, "tool_call_id", None):
        turn["tool_call_id"] = call_id
    return turn


def _tool_call(
    call: Mapping[str, Any],
    each: Callable[[Any], Any],
) -> dict[str, Any]:
    arguments = canonical_json(each(call["args"]))
    return {
        "id": call.get("id"),
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }


def _message_turn(message: Any) -> Message:
    known = message if isinstance(message, dict) else {}
    return Message.model_validate(
        {name: item for name, item in known.items() if name in Message.model_fields}
    )
