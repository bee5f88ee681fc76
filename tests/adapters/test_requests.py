"""One case as the arguments of one request, in both API modes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.media import as_base64
from tests.support.prompts import PROMPTS, turns
from themis_lib.adapters.requests import (
    Asked,
    chat_request,
    estimated_tokens,
    responses_request,
)

MESSAGES = turns(("user", "2+2"))
CHAT = {"model": "gpt", "messages": MESSAGES}
RESPONSES = {"model": "gpt", "input": "2+2"}
TOOL = {"type": "function", "function": {"name": "add"}}
SCHEMA = {"name": "n", "schema": {"type": "integer"}, "strict": True}
#: What is asked for, and what it adds to a request of Chat Completions and Responses.
ADDED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}, {}),
    "zeros": (
        {"temperature": 0, "top_p": 0.0, "seed": 0},
        {"temperature": 0, "top_p": 0.0, "seed": 0},
        {"temperature": 0, "top_p": 0.0},
    ),
    "stop": ({"stop": ["END"]}, {"stop": ["END"]}, {}),
    "tools": (
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": "auto"},
    ),
    "reasoning": (
        {"reasoning_effort": "low"},
        {"reasoning_effort": "low"},
        {"reasoning": {"effort": "low"}},
    ),
    "log-probabilities with alternatives": (
        {"logprobs": 2},
        {"logprobs": True, "top_logprobs": 2},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    ),
    "log-probabilities alone": (
        {"logprobs": 0},
        {"logprobs": True},
        {"include": ["message.output_text.logprobs"]},
    ),
    "JSON": (
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_object"}},
        {"text": {"format": {"type": "json_object"}}},
    ),
    "schema": (
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        {"text": {"format": {"type": "json_schema", **SCHEMA}}},
    ),
    "extra body": (
        {"extra_body": {"top_k": 3}},
        {"extra_body": {"top_k": 3}},
        {"extra_body": {"top_k": 3}},
    ),
}


@pytest.mark.parametrize("name", ADDED)
def test_request_has_what_was_asked_for_and_no_more(name: str) -> None:
    """A field without a value is left out: some servers refuse an explicit null."""
    settings, chat, responses = ADDED[name]
    asked = Asked("gpt", **settings)

    assert {**CHAT, **chat} == chat_request(MESSAGES, asked)
    assert {**RESPONSES, **responses} == responses_request(MESSAGES, asked)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_chat_completions_name_the_token_limit_as_the_provider_does(name: str) -> None:
    """Responses have one name for it."""
    asked = Asked("gpt", max_tokens=9, max_tokens_name=name)

    assert {**CHAT, name: 9} == chat_request(MESSAGES, asked)
    assert {**RESPONSES, "max_output_tokens": 9} == responses_request(MESSAGES, asked)


@pytest.mark.parametrize("name", PROMPTS)
def test_messages_are_those_of_the_conversation(name: str) -> None:
    """Responses take the system message as `instructions`, a single turn as text."""
    _, _, messages = PROMPTS[name]
    others = [turn for turn in messages if turn["role"] != "system"]

    chat = chat_request(messages, Asked("gpt"))
    responses = responses_request(messages, Asked("gpt"))

    assert messages == chat["messages"]
    has_system = messages[0]["role"] == "system"
    assert ("Be brief." if has_system else None) == responses.get("instructions")
    assert (others[0]["content"] if len(others) == 1 else others) == responses["input"]


@pytest.mark.parametrize(
    "messages",
    [
        turns(("system", [{"type": "input_text", "text": "Be brief."}]), ("user", "a")),
        turns(("user", "a"), ("system", "Be brief.")),
        turns(("user", [{"type": "input_text", "text": "a"}])),
        turns(("assistant", "a")),
        [{"type": "function_call_output", "output": "3"}],
    ],
    ids=["system of parts", "late system", "user of parts", "assistant", "item"],
)
def test_items_that_are_no_leading_text_stay_in_the_input(
    messages: list[dict[str, Any]],
) -> None:
    """Only a leading system text and a single user text have another place."""
    request = responses_request(messages, Asked("gpt"))

    assert {"model": "gpt", "input": messages} == request


def test_request_leaves_the_conversation_as_it_is() -> None:
    """The same turns are stored in the row after they were sent."""
    messages = turns(("system", "Be brief."), ("user", "2+2"))

    chat_request(messages, Asked("gpt"))["messages"].clear()
    responses_request(messages, Asked("gpt"))

    assert turns(("system", "Be brief."), ("user", "2+2")) == messages


def test_estimate_counts_the_text_and_the_longest_answer() -> None:
    """Four characters are one token."""
    request = {"input": "x" * 387}
    assert 400 == len(str(request))

    assert 100 == estimated_tokens(request, None)
    assert 150 == estimated_tokens(request, 50)


@pytest.mark.parametrize("size", [3_000, 3_000_000])
def test_picture_is_estimated_by_itself(size: int) -> None:
    """Its bytes are no text: a throttle would wait for hours."""
    url = f"data:image/png;base64,{as_base64(bytes(size))}"
    part = {"type": "image_url", "image_url": {"url": url}}

    tokens = estimated_tokens({"messages": [{"role": "user", "content": [part]}]}, None)

    assert 1_000 < tokens < 1_100
