"""The fields of a provider's reply, which may be an object or a mapping."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from themis_lib import TokenUsage
from themis_lib.adapters.reply_fields import (
    is_list,
    join_texts,
    read_field,
    response_finish_reason,
    token_usage,
    tool_call,
)

FIELDS = {"a": None, "b": 0, "c": 1}


@pytest.mark.parametrize("reply", [FIELDS, SimpleNamespace(**FIELDS)])
def test_first_field_that_is_there(reply: Any) -> None:
    """Null is not there; zero is."""
    assert 0 == read_field(reply, "a", "missing", "b", "c")
    assert read_field(reply, "missing") is None


def test_text_is_no_list() -> None:
    """A reply that is a text has no items."""
    assert is_list([1])
    assert is_list(())
    assert not is_list("text")


def test_texts_of_parts_are_joined() -> None:
    """Parts without text are left out; without any there is none."""
    assert "ab" == join_texts([{"text": "a"}, {"image": 1}, {"text": "b"}])
    assert join_texts([{"image": 1}]) is None


@pytest.mark.parametrize(
    ("arguments", "expected"), [('{"x": 1}', {"x": 1}), ("not json", "not json")]
)
def test_arguments_are_json_where_they_are(arguments: str, expected: Any) -> None:
    """Else the text as the model wrote it."""
    assert {"name": "f", "arguments": expected} == tool_call(
        {"name": "f", "arguments": arguments}
    )


def test_tokens_of_both_apis() -> None:
    """Chat Completions and Responses name them differently."""
    chat = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    responses = {
        "input_tokens": 3,
        "output_tokens": 2,
        "input_tokens_details": {"cached_tokens": 1},
    }
    expected = TokenUsage(input_tokens=3, output_tokens=2, cached_tokens=1)

    assert expected == token_usage(chat) == token_usage(responses)
    assert token_usage(None) is None


@pytest.mark.parametrize(
    ("reply", "calls", "expected"),
    [
        ({"status": "completed"}, [], "stop"),
        ({"status": "completed"}, [{"name": "f"}], "tool_calls"),
        (
            {
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
            },
            [],
            "length",
        ),
        (
            {
                "status": "incomplete",
                "incomplete_details": {"reason": "content_filter"},
            },
            [],
            "content_filter",
        ),
        ({}, [], None),
    ],
)
def test_status_in_the_words_of_chat_completions(
    reply: dict[str, Any], calls: list[Any], expected: str | None
) -> None:
    """So that a row says the same, whichever API was asked."""
    assert expected == response_finish_reason(reply, has_calls=calls)
