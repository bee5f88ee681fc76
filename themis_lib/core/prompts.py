"""Prompt material that belongs to the experiment, and the one way it is rendered."""

from __future__ import annotations

from pydantic import Field, JsonValue

from themis_lib.core.identity import canonical_json
from themis_lib.core.models import Model


class PromptSpec(Model):
    """Instructions, a prefix, blocks and a suffix around every input; part of the generate stage's identity.

    `render_prompt` puts prefix and blocks before the input and the suffix after it. `instructions` is sent where
    a provider has a place for it (a system message); a plain-text generator puts it first. An empty spec changes
    nothing. A block is any prompt material: text, or a JSON value that is rendered as JSON.
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


def render_prompt(spec: PromptSpec | None, value: JsonValue) -> str:
    r"""The user's turn: prefix, blocks, input and suffix, with one blank line between the parts that are not empty.

    >>> render_prompt(PromptSpec(prefix="Solve.", suffix="Answer:"), "2+2")
    'Solve.\n\n2+2\n\nAnswer:'
    >>> render_prompt(PromptSpec(), "2+2")
    '2+2'
    """
    if spec is None:
        return render_input(value)
    parts = [spec.prefix, *map(render_input, spec.blocks), render_input(value), spec.suffix]
    return "\n\n".join(part for part in parts if part)
