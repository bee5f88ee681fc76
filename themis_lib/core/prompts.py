"""Prompt material that belongs to the experiment, and the one way it is rendered."""

from __future__ import annotations

from typing import Any

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from themis_lib.core.models import FrozenModel
from themis_lib.core.parts import is_parts
from themis_lib.core.templates import PromptTemplate
from themis_lib.errors import ConfigError, RowError
from themis_lib.identity.digests import canonical_json


class TemplateTurn(FrozenModel):
    """A message of a template: who says it, and a template of what."""

    role: str
    content: str


class PromptSpec(FrozenModel):
    """Instructions, a prefix, blocks and a suffix around every input.

    It is part of the identity of the generate stage. `render_prompt` puts prefix and
    blocks before the input and the suffix after it. `instructions` go where a provider
    has a place for them (a system message); a plain-text generator puts them first. An
    empty spec changes nothing. A block is any prompt material: text, or a JSON value
    that is rendered as JSON.

    `template` says what the input itself looks like: a Jinja template over its fields,
    or one for each message of a conversation (see `PromptTemplate`). The generate stage
    renders it, so that a generator is given the rendered input.
    """

    instructions: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    blocks: list[JsonValue] = Field(default_factory=list)
    template: str | list[TemplateTurn] | None = None

    @model_serializer(mode="wrap")
    def _without_absent_template(
        self,
        handler: SerializerFunctionWrapHandler,
    ) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        # Rows of prompts without a template are found by what was written before.
        if self.template is None:
            written.pop("template", None)
        return written


def template_of(spec: PromptSpec) -> PromptTemplate | None:
    """Return the template of a prompt spec, compiled; `None` if it has none.

    Raise `ConfigError` as `PromptTemplate` does, and for messages of no user where other
    prompt material goes around the last of one.
    """
    if spec.template is None or isinstance(spec.template, str):
        return None if spec.template is None else PromptTemplate(spec.template)
    if has_material(spec) and all(turn.role != "user" for turn in spec.template):
        raise ConfigError(
            "generation.prompt_spec: prefix, blocks and suffix go around the last user "
            "turn, and the template has none"
        )
    return PromptTemplate([turn.model_dump() for turn in spec.template])


def render_input(value: JsonValue) -> str:
    """Return an input as prompt text: a string as it is, else canonical JSON.

    >>> render_input({"question": "2+2"})
    '{"question":"2+2"}'
    """
    return value if isinstance(value, str) else canonical_json(value)


def render_prompt(
    spec: PromptSpec | None,
    value: JsonValue,
) -> str:
    r"""Return the user's turn: prefix, blocks, input and suffix.

    One blank line separates the parts that are not empty.

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
    # An empty part would leave two blank lines.
    return "\n\n".join(part for part in parts if part)


def render_text(
    spec: PromptSpec | None,
    value: JsonValue,
) -> str:
    r"""Return the prompt of a model that reads one text: instructions, then the input.

    Prefix, blocks and suffix go around the input as in `render_prompt`.

    >>> render_text(PromptSpec(instructions="Be brief.", suffix="Answer:"), "2+2")
    'Be brief.\n\n2+2\n\nAnswer:'
    """
    prompt = render_prompt(spec, value)
    if spec is None or not spec.instructions:
        return prompt
    return f"{spec.instructions}\n\n{prompt}"


def render_conversation(
    spec: PromptSpec | None,
    value: JsonValue,
) -> list[dict[str, Any]]:
    r"""Return the messages to send: instructions as system message, then the input.

    An input that is a list of messages is sent as a conversation; prefix, blocks and
    suffix go around its last user turn, as parts of their own where it is made of
    parts. A list of parts is a user turn made of them, and any other input one of text.

    Raise `RowError` for a conversation without a turn for prefix, blocks and suffix.

    >>> render_conversation(PromptSpec(instructions="Be brief.", suffix="Answer:"), "2+2")
    [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': '2+2\n\nAnswer:'}]
    """
    messages: list[dict[str, Any]] = []
    if spec is not None and spec.instructions:
        messages.append({"role": "system", "content": spec.instructions})
    conversation: Any = value
    if is_parts(value):
        conversation = [{"role": "user", "content": [*value]}]
    elif not is_conversation(value):
        messages.append({"role": "user", "content": render_prompt(spec, value)})
        return messages
    # Copies: the case keeps the turns as they are.
    turns = [dict(turn) for turn in conversation]
    if spec is not None and has_material(spec):
        _put_around_last_user_turn(spec, turns)
    return messages + turns


def asks_in_parts(
    spec: PromptSpec | None,
    value: JsonValue,
) -> bool:
    """Return whether prompt material goes around a turn that is made of parts."""
    if spec is None or not has_material(spec):
        return False
    if not is_conversation(value):
        return False
    asking = _last_user_turn(value)
    return asking is not None and isinstance(asking.get("content"), list)


def has_material(spec: PromptSpec) -> bool:
    """Return whether a prompt spec puts something around the turn that asks."""
    return bool(spec.prefix or spec.suffix or spec.blocks)


def _put_around_last_user_turn(
    spec: PromptSpec,
    turns: list[dict[str, Any]],
) -> None:
    # Only the last one: it asks the question, earlier ones are history.
    asking = _last_user_turn(turns)
    if asking is None:
        raise RowError(
            "prefix, blocks and suffix of the prompt spec go around the last user turn, "
            "and the conversation has none"
        )
    content = asking.get("content")
    if isinstance(content, str):
        asking["content"] = render_prompt(spec, content)
    elif isinstance(content, list):
        asking["content"] = _render_parts(spec, content)
    else:
        raise RowError(
            "prefix, blocks and suffix of the prompt spec go around the last user turn, "
            f"and its content is neither text nor parts: {content!r:.60}"
        )


def _last_user_turn(turns: Any) -> dict[str, Any] | None:
    for turn in reversed(turns):
        if turn["role"] == "user":
            asking: dict[str, Any] = turn
            return asking
    return None


def _render_parts(
    spec: PromptSpec,
    parts: list[Any],
) -> list[Any]:
    """Return the parts of a turn between those of the prompt spec."""
    kinds = [str(part.get("type")) for part in parts if isinstance(part, dict)]
    # The Responses API has names of its own for parts: a turn keeps to one set.
    kind = "text"
    if any(name.startswith("input_") and name != "input_audio" for name in kinds):
        kind = "input_text"
    texts = [spec.prefix, *map(render_input, spec.blocks), None, spec.suffix]
    at = len(texts) - 2
    before = [{"type": kind, "text": text} for text in texts[:at] if text]
    after = [{"type": kind, "text": text} for text in texts[at:] if text]
    return [*before, *parts, *after]


def is_conversation(value: JsonValue) -> bool:
    """Return whether an input is a list of messages, each with a role."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(turn, dict) and "role" in turn for turn in value)
