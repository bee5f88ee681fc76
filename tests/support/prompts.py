"""Inputs with prompt specs, and the messages that they become."""

from __future__ import annotations

from typing import Any


def turns(*said: tuple[str, Any]) -> list[dict[str, Any]]:
    """A conversation, by role and content."""
    return [{"role": role, "content": content} for role, content in said]


CONVERSATION = turns(("user", "Say 1"), ("assistant", "1"), ("user", "and then"))
SPEC: dict[str, Any] = {
    "instructions": "Be brief.",
    "prefix": "Solve:",
    "blocks": [{"hint": 1}],
    "suffix": "Answer:",
}
#: An input and a prompt spec, and the messages that are sent.
PROMPTS: dict[str, tuple[Any, dict[str, Any], list[dict[str, Any]]]] = {
    "text": ("2+2", {}, turns(("user", "2+2"))),
    "object": ({"b": 1, "a": "ü"}, {}, turns(("user", '{"a":"ü","b":1}'))),
    "list": ([1, 2], {}, turns(("user", "[1,2]"))),
    "whole spec": (
        "2+2",
        SPEC,
        turns(
            ("system", "Be brief."), ("user", 'Solve:\n\n{"hint":1}\n\n2+2\n\nAnswer:')
        ),
    ),
    "conversation": (CONVERSATION, {}, CONVERSATION),
    "conversation with a spec": (
        CONVERSATION,
        {"instructions": "Be brief.", "suffix": "Go."},
        [
            *turns(("system", "Be brief.")),
            *CONVERSATION[:2],
            *turns(("user", "and then\n\nGo.")),
        ],
    ),
}
