"""A case as the turns of a conversation: as they are sent, and as a row keeps them."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.openai_parts import needs_rendering
from themis_lib.adapters.requests import ApiMode
from themis_lib.adapters.response_items import response_items
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, Message
from themis_lib.core.parts import is_parts, parts_of
from themis_lib.core.prompts import (
    PromptSpec,
    asks_in_parts,
    has_material,
    is_conversation,
    render_conversation,
)
from themis_lib.errors import ComponentError, RowError
from themis_lib.identity.digests import canonical_json

#: A message as chat APIs write it.
Turn: TypeAlias = JsonObject
#: A user's `input_builder(case, ctx)`, which returns text, JSON or turns.
InputBuilder: TypeAlias = Callable[[Case, GenerateContext], Any]

#: Raised when a conversation with parts is sent in another way.
_PARTS_VERSION = "2"
#: That of inputs that were sent as JSON, or with parts that no server knows, before there
#: was one form for parts.
FORMS_VERSION = "parts-1"
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

    Their content is a text or a list of parts, in any form that `core.parts` reads.
    Raises `RowError` if a builder returns neither text nor JSON, and as
    `render_conversation` does.
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
    if is_parts(built):
        turns.append({"role": "user", "content": built})
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


def check_builder(
    builder: InputBuilder | None,
    prompt_spec: PromptSpec,
) -> None:
    """Raise `ComponentError` for prompt material that a builder cannot put anywhere.

    It is a builder's to use, and one that never looks at its context does not.
    """
    if builder is None or not has_material(prompt_spec):
        return
    code: Any = getattr(builder, "__code__", None)
    # Of `*args` nothing is known.
    if code is None or code.co_argcount < 2:
        return
    ctx = code.co_varnames[1]
    used = {*code.co_cellvars}
    for instruction in dis.get_instructions(code):
        # Python 3.13 loads two variables at once.
        named = instruction.argval
        used.update(named if isinstance(named, tuple) else [named])
    if ctx not in used:
        raise ComponentError(
            "input_builder never looks at its context, so that prefix, blocks and suffix "
            "of the prompt spec would not be sent; use `ctx.prompt_spec` in it, such as "
            "by `render_prompt`, or remove them"
        )


def input_version(
    value: Any,
    spec: PromptSpec,
    *,
    api_mode: ApiMode,
) -> str | None:
    """Return the version of an input's request; `None` if it never changed.

    Parts are newer than texts: between prefix and suffix, and as items of Responses.
    """
    if has_new_forms(value, api_mode=api_mode):
        return FORMS_VERSION
    is_newer = asks_in_parts(spec, value)
    if api_mode == "responses" and is_conversation(value):
        is_newer = is_newer or response_items(value) != value
    return _PARTS_VERSION if is_newer else None


def has_new_forms(
    value: Any,
    *,
    api_mode: ApiMode,
) -> bool:
    """Return whether an input is a list of parts, or has any that need rendering."""
    if is_parts(value):
        return True
    return any(
        needs_rendering(part, api_mode=api_mode) for part in _listed_parts(value)
    )


def has_listed_parts(value: Any) -> bool:
    """Return whether an input is a list of parts, or a turn's content is a list."""
    if is_parts(value):
        return True
    turns = value if is_conversation(value) else []
    return any(isinstance(turn.get("content"), list) for turn in turns)


def text_turns(
    turns: Sequence[Turn],
    *,
    reader: str,
) -> list[Turn]:
    """Return turns whose contents are texts: those of text parts, a blank line between.

    Raise `RowError`, naming what `reader` cannot read: an image, audio or a file.
    """
    texts = []
    for turn in turns:
        content = turn.get("content")
        if isinstance(content, str):
            texts.append(turn)
            continue
        role = turn.get("role")
        if not isinstance(content, list):
            raise RowError(
                f"{reader} reads text; `content` of the {role} turn is neither text nor "
                "parts"
            )
        parts = parts_of(content)
        for number, part in enumerate(parts, start=1):
            if part.kind != "text":
                raise RowError(
                    f"{reader} reads text alone; part {number} of the {role} turn is "
                    f"{part.shown()}"
                )
        text = "\n\n".join(part.text for part in parts if part.text)
        texts.append({**turn, "content": text})
    return texts


def _listed_parts(value: Any) -> Iterator[Any]:
    """Yield the parts of a conversation's turns."""
    if not is_conversation(value):
        return
    for turn in value:
        content = turn.get("content")
        if isinstance(content, list):
            yield from content


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
