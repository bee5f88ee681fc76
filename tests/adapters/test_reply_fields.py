"""The fields of a provider's reply, which may be an object or a mapping."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from themis_lib import TokenUsage
from themis_lib.adapters.reply_fields import (
    content_parts,
    is_list,
    join_texts,
    join_thoughts,
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
    assert "" == join_texts([{"text": ""}])
    assert "a" == join_texts(["a", {"type": "thinking", "text": "b"}])


def test_content_is_parts() -> None:
    """A text and a part alone are one of them; null is none."""
    assert [(), ("a",), ({"text": "a"},), ("a", "b")] == [
        content_parts(content) for content in (None, "a", {"text": "a"}, ["a", "b"])
    ]


def test_thoughts_of_parts_are_joined() -> None:
    """As a text or as parts, under any of their names."""
    parts = [
        {"type": "thinking", "thinking": "a"},
        {"type": "text", "text": "no"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]},
        {"type": "reasoning", "text": "c"},
    ]

    assert "abc" == join_thoughts(parts)
    assert join_thoughts([{"text": "no"}]) is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"x": 1}', {"x": 1}),
        ({"x": 1}, {"x": 1}),
        ("not json", "not json"),
        ('{"x": "a\nb\tc"}', {"x": "a\nb\tc"}),
        ('{"x": NaN}', '{"x": NaN}'),
        ('{"x": 1', '{"x": 1'),
        ("[" * 100_000, "[" * 100_000),
        ("", ""),
    ],
    ids=["JSON", "object", "prose", "line breaks", "NaN", "cut", "deep", "none"],
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
    ("given", "counted"),
    [
        (3, 3),
        (3.0, 3),
        ("3", 3),
        (0.0, 0),
        (3.5, None),
        (-1, None),
        (-1.0, None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        (1e30, None),
        ("many", None),
        ("9" * 5000, None),
        ([3], None),
        (None, None),
    ],
    ids=lambda value: str(value)[:9],
)
def test_whole_numbers_are_counted(given: Any, counted: int | None) -> None:
    """However they are written; what is no count costs the answer nothing."""
    expected = TokenUsage(input_tokens=counted, output_tokens=2)

    assert expected == token_usage({"prompt_tokens": given, "completion_tokens": 2})


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
        ({"status": "incomplete"}, [], "incomplete"),
        ({}, [], None),
    ],
)
def test_status_in_the_words_of_chat_completions(
    reply: dict[str, Any], calls: list[Any], expected: str | None
) -> None:
    """So that a row says the same, whichever API was asked."""
    assert expected == response_finish_reason(reply, has_calls=calls)
