"""The values that graphs pass around, as JSON."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel

from tests.support.json_values import JSON
from themis_lib.adapters.langgraph_values import (
    as_json,
    conversation_of,
    loaded_class,
    shown,
)
from themis_lib.core.models import Message


class Verdict(BaseModel):
    right: bool
    at: Path = Path("a/b")


@dataclasses.dataclass
class Found:
    verdict: Verdict
    said: HumanMessage


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Verdict(right=True), {"right": True, "at": "a/b"}),
        (
            Found(Verdict(right=False), HumanMessage("hi")),
            {
                "verdict": {"right": False, "at": "a/b"},
                "said": {"role": "user", "content": "hi"},
            },
        ),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2, 10}), [10, 2]),
        ((1, None), [1, None]),
        ({1: Path("a")}, {"1": "a"}),
    ],
)
def test_values_of_a_graph_become_json(value: Any, expected: Any) -> None:
    """Models, dataclasses and messages are objects; sets have one order."""
    assert expected == as_json(value)
    assert expected == shown(value)


# The first draw makes tables of characters, which takes seconds on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=JSON)
def test_json_is_left_as_it_is(value: Any) -> None:
    """In an output and in a trace alike."""
    assert value == as_json(value) == shown(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (object(), "object"),
        ({"deep": [threading.Event()]}, "Event"),
        (Found(Verdict(right=True), object()), "object"),  # type: ignore[arg-type]
    ],
)
def test_output_that_is_not_json_is_refused(value: Any, kind: str) -> None:
    """The message names the type that cannot be kept."""
    with pytest.raises(ValueError, match=f"^{kind} is not JSON$"):
        as_json(value)


def test_bytes_that_are_no_text_are_refused() -> None:
    """JSON has texts alone."""
    with pytest.raises(ValueError, match="invalid utf-8"):
        as_json(b"\xff")


def test_trace_names_what_is_not_json() -> None:
    """Without an address in memory, which would differ in every run."""
    value = {
        "client": object(),
        "shares": [float("nan"), float("inf"), -float("inf"), 0.5],
    }

    assert {
        "client": "<object>",
        "shares": ["nan", "inf", "-inf", 0.5],
    } == shown(value)
    json.dumps(shown(value), allow_nan=False)


CALL = {"name": "add", "args": {"b": 2, "a": 1}, "id": "call-1"}
WRITTEN = {
    "id": "call-1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"a":1,"b":2}'},
}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (HumanMessage("hi", id="m-1"), {"role": "user", "content": "hi"}),
        (
            HumanMessage("hi", name="Eve"),
            {"role": "user", "content": "hi", "name": "Eve"},
        ),
        (SystemMessage("Be brief."), {"role": "system", "content": "Be brief."}),
        (
            AIMessage("", tool_calls=[CALL], response_metadata={"id": 1}),
            {"role": "assistant", "content": "", "tool_calls": [WRITTEN]},
        ),
        (
            ToolMessage("3", tool_call_id="call-1", name="add"),
            {"role": "tool", "content": "3", "name": "add", "tool_call_id": "call-1"},
        ),
        (ChatMessage("hi", role="critic"), {"role": "critic", "content": "hi"}),
        (
            HumanMessage([{"type": "text", "text": "hi"}]),
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        ),
    ],
    ids=["user", "name", "system", "calls", "tool", "role of its own", "parts"],
)
def test_message_is_written_as_chat_apis_do(
    message: Any, expected: dict[str, Any]
) -> None:
    """Without the ids and the metadata of LangChain, which differ in every run."""
    assert expected == as_json(message)


@dataclasses.dataclass
class State:
    messages: list[Any]


TURNS = [HumanMessage("hi"), {"role": "assistant", "content": "4", "id": "m-2"}]


@pytest.mark.parametrize(
    "state", [{"messages": TURNS}, State(TURNS)], ids=["key", "attribute"]
)
def test_messages_of_a_state_are_a_conversation(state: Any) -> None:
    """Under a key or an attribute; fields that no row has are left out."""
    assert [
        Message(role="user", content="hi"),
        Message(role="assistant", content="4"),
    ] == conversation_of(state)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"messages": []},
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"content": "without a role"}]},
        {"messages": [{"role": 3}]},
        "hi",
        None,
    ],
    ids=str,
)
def test_state_without_messages_has_no_conversation(state: Any) -> None:
    """Its `messages` may be something else of that name."""
    assert conversation_of(state) is None


def test_class_of_a_package_that_is_not_imported_has_no_instances() -> None:
    """The package is not imported for it."""
    assert HumanMessage is loaded_class("langchain_core.messages", "HumanMessage")
    for module, name in (
        ("no_such_package", "Message"),
        ("langchain_core.messages", "NoSuchMessage"),
        ("json", "dumps"),
    ):
        assert not isinstance(object(), loaded_class(module, name))
