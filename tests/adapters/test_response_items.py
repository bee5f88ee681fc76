"""Messages of Chat Completions as items of the Responses API."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib.adapters.conversations import input_version
from themis_lib.adapters.response_items import response_items
from themis_lib.core.prompts import PromptSpec

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
#: A turn, and the items that it becomes.
TURNS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "text": (
        {"role": "user", "content": [{"type": "text", "text": "q"}]},
        [{"role": "user", "content": [{"type": "input_text", "text": "q"}]}],
    ),
    "system": (
        {"role": "system", "content": [{"type": "text", "text": "q"}]},
        [{"role": "system", "content": [{"type": "input_text", "text": "q"}]}],
    ),
    "assistant": (
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
        [{"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}],
    ),
    "image": (
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}
            ],
        },
        [
            {
                "role": "user",
                "content": [{"type": "input_image", "image_url": "u", "detail": "low"}],
            }
        ],
    ),
    "address of an image": (
        {"role": "user", "content": [{"type": "image_url", "image_url": "u"}]},
        [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}],
    ),
    "file": (
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]},
        [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
    ),
    "calls": (
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL]},
        [CALLED, CALLED],
    ),
    "words beside a call": (
        {"role": "assistant", "content": "Let me see", "tool_calls": [CALL]},
        [{"role": "assistant", "content": "Let me see"}, CALLED],
    ),
    "answer of a tool": (
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        [{"type": "function_call_output", "call_id": "c1", "output": "sunny"}],
    ),
    "answer of a tool in parts": (
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "s"}],
        },
        [
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": [{"type": "input_text", "text": "s"}],
            }
        ],
    ),
}
#: What this API takes as it is.
ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "a", "tool_calls": None},
    {"role": "assistant", "content": None, "tool_calls": []},
    {"role": "assistant", "content": "a", "tool_calls": "none"},
    {"role": "user", "content": [{"type": "input_text", "text": "q"}, "q"]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
]


@pytest.mark.parametrize("name", TURNS)
def test_message_becomes_items(name: str) -> None:
    """And its request is of another version than before."""
    turn, items = TURNS[name]

    assert items == response_items([turn])
    assert "2" == input_version([turn], PromptSpec(), api_mode="responses")
    assert input_version([turn], PromptSpec(), api_mode="chat_completions") is None


@pytest.mark.parametrize("item", ITEMS, ids=str)
def test_what_is_an_item_stays(item: dict[str, Any]) -> None:
    """Its request is the one that it always was."""
    assert [item] == response_items([item])
    assert input_version([item], PromptSpec(), api_mode="responses") is None
