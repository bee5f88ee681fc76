"""Requests of Anthropic's API, and where the provider keeps their beginning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.prompts import turns
from themis_lib.adapters.anthropic_requests import (
    AskedOfAnthropic,
    messages_request,
    tool_choice_object,
    tool_definition,
    with_breakpoints,
)

MARK = {"type": "ephemeral", "ttl": "1h"}


def request(said: list[dict[str, Any]], **asked: Any) -> dict[str, Any]:
    return messages_request(said, AskedOfAnthropic("claude", 10, **asked))


def test_lone_question_has_nothing_to_keep() -> None:
    """What no other row has is not marked: a token that is kept costs more."""
    said = turns(("user", "2+2"))

    assert request(said) == request(said, prompt_cache="5m")


def test_tools_and_system_are_kept_as_long_as_is_asked() -> None:
    """An hour is written; five minutes are the API's default."""
    said = turns(("system", "S"), ("user", "2+2"))

    made = request(said, tools=[{"name": "f"}, {"name": "g"}], prompt_cache="1h")

    assert [{"name": "f"}, {"name": "g", "cache_control": MARK}] == made["tools"]
    assert [{"type": "text", "text": "S", "cache_control": MARK}] == made["system"]
    assert turns(("user", "2+2")) == made["messages"]


def test_marks_of_the_users_own_are_all_there_are() -> None:
    """The API takes four at most."""
    tool = {"name": "f", "cache_control": {"type": "ephemeral"}}
    said = turns(("system", "S"), ("user", "2+2"))

    made = request(said, tools=[tool], prompt_cache="1h")

    assert 1 == json.dumps(made).count("cache_control")


def test_request_that_is_marked_is_another() -> None:
    """The one that was given is as it was."""
    given = request(
        turns(("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    )
    before = json.dumps(given)

    marked = with_breakpoints(given, "5m")

    assert 2 == json.dumps(marked).count("cache_control")
    assert before == json.dumps(given)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("required", {"type": "any"}),
        ("auto", {"type": "auto"}),
        ({"type": "function", "name": "f"}, {"type": "tool", "name": "f"}),
        ({"type": "tool", "name": "f"}, {"type": "tool", "name": "f"}),
        (None, None),
    ],
)
def test_choice_of_tools_is_written_either_way(written: Any, sent: Any) -> None:
    """As in this API, or as in OpenAI's."""
    assert sent == tool_choice_object(written)


def test_tools_of_the_provider_are_sent_as_they_are() -> None:
    """They have a type, and no schema."""
    tool = {"type": "web_search_20250305", "name": "web_search"}

    assert tool == tool_definition(tool)
