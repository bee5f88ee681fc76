"""Turns of a conversation as messages of Anthropic's API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.prompts import turns
from themis_lib.adapters.anthropic_messages import message_turns, split_system
from themis_lib.errors import RowError


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def call(**fields: Any) -> dict[str, Any]:
    return {"id": "t1", "type": "function", "function": {"name": "f", **fields}}


def test_system_turns_are_taken_out_wherever_they_are() -> None:
    """Those of the developer too; an empty one says nothing."""
    said = turns(("system", ""), ("user", "a"), ("developer", "B"), ("system", "C"))

    assert ([text("B"), text("C")], turns(("user", "a"))) == split_system(said)


def test_turns_of_one_role_are_one_message() -> None:
    """What several tools say is in one message, with what the user says then."""
    said: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "t2", "content": None, "is_error": True},
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": "Rain."},
    ]

    assert [
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
                text("And now?"),
            ],
        },
        {"role": "assistant", "content": "Rain."},
    ] == message_turns(said)


def test_thoughts_go_before_the_text_and_calls_after_it() -> None:
    """Unchanged, as the API wants to see them again."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    turn = {
        "role": "assistant",
        "content": "I ask.",
        "thinking_blocks": [thought],
        "tool_calls": [call(arguments='{"a": 1}'), call(arguments={"b": 2})],
    }

    uses = [
        {"type": "tool_use", "id": "t1", "name": "f", "input": given}
        for given in ({"a": 1}, {"b": 2})
    ]
    assert [
        {"role": "assistant", "content": [thought, text("I ask."), *uses]}
    ] == message_turns([turn])


@pytest.mark.parametrize("arguments", ["[1]", "{", 3])
def test_arguments_that_are_no_object_are_refused(arguments: Any) -> None:
    """The error names the tool."""
    turn = {"role": "assistant", "tool_calls": [call(arguments=arguments)]}

    with pytest.raises(RowError, match="'f'"):
        message_turns([turn])
