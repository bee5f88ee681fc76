"""A case as the turns of a conversation: as they are sent, and as a row keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.requests import ApiMode
from themis_lib.adapters.response_items import response_items
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, Message
from themis_lib.core.prompts import (
    PromptSpec,
    asks_in_parts,
    is_conversation,
    render_conversation,
)
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json

#: A message as chat APIs write it.
Turn: TypeAlias = JsonObject
#: A user's `input_builder(case, ctx)`, which returns text, JSON or turns.
InputBuilder: TypeAlias = Callable[[Case, GenerateContext], Any]

#: Raised when a conversation with parts is sent in another way.
_PARTS_VERSION = "2"
#: The columns of a stored conversation.
_COLUMNS = (
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
)


def turns_to_send(
    case: Case,
    ctx: GenerateContext,
    builder: InputBuilder | None,
) -> list[Turn]:
    """Return the turns of one request: the rendered input, or what a builder makes.

    Raises `RowError` if a builder returns neither text nor JSON.
    """
    if builder is None:
        return render_conversation(ctx.prompt_spec, case.input)
    built = builder(case, ctx)
    turns: list[Turn] = []
    # The prompt spec's other parts are the builder's to use: it was handed them.
    instructions = ctx.prompt_spec.instructions
    if instructions:
        turns.append(
            {
                "role": "system",
                "content": instructions,
            }
        )
    if is_conversation(built):
        turns.extend(built)
        return turns
    text = built
    if not isinstance(built, str):
        try:
            # Canonical, so that equal values are sent as equal texts.
            text = canonical_json(built)
        except ValueError as error:
            raise RowError(
                f"input_builder returned what is neither text nor JSON: {error}"
            ) from None
    turns.append(
        {
            "role": "user",
            "content": text,
        }
    )
    return turns


def input_version(
    value: Any,
    spec: PromptSpec,
    *,
    api_mode: ApiMode,
) -> str | None:
    """Return the version of an input's request; `None` if it never changed.

    Parts are newer than texts: between prefix and suffix, and as items of Responses.
    """
    is_newer = asks_in_parts(spec, value)
    if api_mode == "responses" and is_conversation(value):
        is_newer = is_newer or response_items(value) != value
    return _PARTS_VERSION if is_newer else None


def stored_turns(turns: Sequence[Turn]) -> list[Message]:
    """Return turns as the columns of a row's conversation.

    Raises `RowError` if one of them is not a message.
    """
    stored = []
    for turn in turns:
        if "role" in turn:
            columns = {name: turn[name] for name in _COLUMNS if name in turn}
        else:
            # Items of the Responses API, such as a tool's result, have a type instead.
            columns = {
                "role": str(turn.get("type", "item")),
                "content": dict(turn),
            }
        try:
            stored.append(Message(**columns))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RowError(
                f"the conversation has a turn that is none: {problem}"
            ) from None
    return stored
