"""Prompt material that belongs to the experiment, and the one way it is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, JsonValue

from themis_lib.core.models import FrozenModel
from themis_lib.identity.digests import canonical_json


class PromptSpec(FrozenModel):
    """Instructions, a prefix, blocks and a suffix around every input; part of the
    generate stage's identity.

    `render_prompt` puts prefix and blocks before the input and the suffix after it.
    `instructions` is sent where a provider has a place for it (a system message); a
    plain-text generator puts it first. An empty spec changes nothing. A block is any
    prompt material: text, or a JSON value that is rendered as JSON.
    """

    instructions: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    blocks: list[JsonValue] = Field(default_factory=list)


def render_input(value: JsonValue) -> str:
    """An input as prompt text: a string as it is, anything else as canonical JSON.

    >>> render_input({"question": "2+2"})
    '{"question":"2+2"}'
    """
    return value if isinstance(value, str) else canonical_json(value)


def render_prompt(
    spec: PromptSpec | None,
    value: JsonValue,
) -> str:
    r"""The user's turn: prefix, blocks, input and suffix, with one blank line between
    the parts that are not empty.

    >>> render_prompt(PromptSpec(prefix="Solve.", suffix="Answer:"), "2+2")
    'Solve.\n\n2+2\n\nAnswer:'
    >>> render_prompt(PromptSpec(), "2+2")
    '2+2'
    """
    if spec is None:
        return render_input(value)
    parts = [
        spec.prefix,
        *map(render_input, spec.blocks),
        render_input(value),
        spec.suffix,
    ]
    return "\n\n".join(part for part in parts if part)


def render_conversation(
    spec: PromptSpec | None,
    value: JsonValue,
) -> list[dict[str, Any]]:
    r"""The messages to send: instructions as the system's, then the input as the user's
    turn, or as it is given.

    An input that is a list of messages is sent as one; prefix and blocks, and the
    suffix, go around its last user turn where that is text.

    >>> render_conversation(PromptSpec(instructions="Be brief.", suffix="Answer:"), "2+2")
    [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': '2+2\n\nAnswer:'}]
    """
    turns = (
        _with_prompt(spec, value)
        if is_conversation(value)
        else [_user_turn(spec, value)]
    )
    instructions = spec.instructions if spec else None
    return [
        *([{"role": "system", "content": instructions}] if instructions else []),
        *turns,
    ]


def is_conversation(value: JsonValue) -> bool:
    """Whether an input is a list of messages, each with a role."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and "role" in turn for turn in value)
    )


def _user_turn(
    spec: PromptSpec | None,
    value: JsonValue,
) -> dict[str, Any]:
    return {"role": "user", "content": render_prompt(spec, value)}


def _with_prompt(
    spec: PromptSpec | None,
    turns: Any,
) -> list[dict[str, Any]]:
    at = max(
        (number for number, turn in enumerate(turns) if _is_user_text(turn)),
        default=None,
    )
    return [
        {**turn, "content": render_prompt(spec, turn["content"])}
        if number == at
        else dict(turn)
        for number, turn in enumerate(turns)
    ]


def _is_user_text(turn: Mapping[str, Any]) -> bool:
    return turn["role"] == "user" and isinstance(turn.get("content"), str)
