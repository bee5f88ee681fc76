"""The turns of a conversation: as they are sent, and as a row keeps them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests.support.asking import context
from tests.support.json_values import JSON
from tests.support.prompts import PROMPTS, turns
from themis_lib import Case
from themis_lib.adapters.conversations import stored_turns, turns_to_send
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Message
from themis_lib.core.prompts import is_conversation, render_prompt
from themis_lib.errors import RowError


def shout(case: Case, ctx: GenerateContext) -> str:
    return render_prompt(ctx.prompt_spec, str(case.input).upper())


def tell(case: Case, ctx: GenerateContext) -> list[dict[str, Any]]:
    return turns(("user", f"{case.input} about {case.metadata['topic']}"))


def case(value: Any = "2+2", **metadata: Any) -> Case:
    return Case(case_id="case", input=value, metadata=metadata)


@pytest.mark.parametrize("name", PROMPTS)
def test_input_and_prompt_spec_become_turns(name: str) -> None:
    """Instructions are the system message; text goes around the last user turn."""
    value, spec, expected = PROMPTS[name]

    sent = turns_to_send(case(value), context(**spec), None)

    assert expected == sent


def test_builder_replaces_the_rendering_of_the_input() -> None:
    """It is given the prompt spec, of which only the instructions are sent for it."""
    spec = {"instructions": "Be brief.", "prefix": "Loud:"}

    sent = turns_to_send(case("say it"), context(**spec), shout)

    assert turns(("system", "Be brief."), ("user", "Loud:\n\nSAY IT")) == sent


def test_builder_may_return_turns() -> None:
    """They follow the instructions as they are."""
    sent = turns_to_send(
        case("Talk", topic="rain"), context(instructions="Be brief."), tell
    )

    assert turns(("system", "Be brief."), ("user", "Talk about rain")) == sent


def test_builder_without_instructions_adds_no_system_message() -> None:
    """The builder's text is then all that is sent."""
    assert turns(("user", "2+2")) == turns_to_send(case(), context(), shout)


def test_json_of_a_builder_is_sent_canonically() -> None:
    """Equal objects are sent as equal texts, whatever the order of their keys."""
    sent = turns_to_send(case(), context(), lambda case, ctx: {"b": 1, "a": [None]})

    assert turns(("user", '{"a":[null],"b":1}')) == sent


# The first draw makes tables of characters, which takes seconds on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(built=JSON)
def test_what_a_builder_returns_can_be_read_from_what_is_sent(built: Any) -> None:
    """A text is sent as it is, any other JSON as its text."""
    assume(not is_conversation(built))

    (sent,) = turns_to_send(case(), context(), lambda case, ctx: built)

    content = sent["content"]
    assert built == (content if isinstance(built, str) else json.loads(content))


@pytest.mark.parametrize("built", [{"a": float("nan")}, object(), {1, 2}])
def test_builder_that_returns_no_json_is_the_error_of_its_row(built: Any) -> None:
    """What can be neither sent nor stored is refused before anything is sent."""
    with pytest.raises(
        RowError, match=r"^input_builder returned what is neither text nor JSON: "
    ):
        turns_to_send(case(), context(), lambda case, ctx: built)


def test_row_keeps_the_columns_of_a_turn() -> None:
    """Other fields of a message, which some servers take, are sent but not stored."""
    call = {"function": {"name": "add", "arguments": "{}"}}
    turn = {"role": "assistant", "name": "Eve", "tool_calls": [call], "cache": True}
    answer = {"role": "tool", "content": "3", "tool_call_id": "call-1"}

    stored = stored_turns([turn, answer])

    assert [
        Message(role="assistant", name="Eve", tool_calls=[call]),
        Message(role="tool", content="3", tool_call_id="call-1"),
    ] == stored


@pytest.mark.parametrize(
    ("item", "role"),
    [
        ({"type": "function_call_output", "output": "3"}, "function_call_output"),
        ({"id": "rs-1"}, "item"),
    ],
)
def test_row_keeps_an_item_of_the_responses_api_whole(
    item: dict[str, Any], role: str
) -> None:
    """Such an item has a type in place of a role."""
    assert [Message(role=role, content=item)] == stored_turns([item])


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "user", "content": "2+2", "name": 3},
        {"role": None, "content": "2+2"},
        {"role": "assistant", "tool_calls": "add"},
    ],
    ids=["name", "role", "tool calls"],
)
def test_turn_that_a_row_cannot_hold_is_the_error_of_its_row(
    turn: dict[str, Any],
) -> None:
    """The message says what is wrong with the turn."""
    with pytest.raises(RowError, match=r"^the conversation has a turn that is none: "):
        stored_turns([*turns(("user", "hi")), turn])
