"""How prompt material goes around an input."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import PromptSpec
from themis_lib.core.prompts import (
    asks_in_parts,
    is_conversation,
    render_conversation,
    render_prompt,
)

SPEC = PromptSpec(
    instructions="Be brief.", prefix="Solve.", blocks=[{"n": 1}], suffix="Go."
)


def test_parts_are_in_order() -> None:
    """Prefix, blocks, input and suffix, a blank line between them."""
    assert 'Solve.\n\n{"n":1}\n\n2+2\n\nGo.' == render_prompt(SPEC, "2+2")


@pytest.mark.parametrize("spec", [None, PromptSpec()])
def test_empty_spec_changes_nothing(spec: PromptSpec | None) -> None:
    """Without prompt material the input is sent as it is."""
    assert "2+2" == render_prompt(spec, "2+2")
    assert [{"role": "user", "content": "2+2"}] == render_conversation(spec, "2+2")


def test_prompt_goes_around_the_last_user_turn() -> None:
    """Earlier turns are history."""
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "begun"},
    ]

    sent = render_conversation(PromptSpec(prefix="P"), turns)

    assert "P\n\nsecond" == sent[2]["content"]
    assert [turns[0], turns[1], turns[3]] == [sent[0], sent[1], sent[3]]


def test_conversation_is_not_changed() -> None:
    """The input stays as it was, for the next sample."""
    turns = [{"role": "user", "content": "first"}]

    render_conversation(SPEC, turns)

    assert [{"role": "user", "content": "first"}] == turns


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"role": "user", "content": "x"}], True),
        ([], False),
        ([{"content": "x"}], False),
        (["x"], False),
        ({"role": "user"}, False),
        ("user", False),
    ],
)
def test_conversation_is_a_list_of_turns_with_roles(value: Any, expected: bool) -> None:
    """Anything else is one user turn."""
    assert expected == is_conversation(value)


TEXT = {"type": "text", "text": "What is this?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
EARLIER = [
    {"role": "system", "content": "You see."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
]


@pytest.mark.parametrize("after", [[], [{"role": "assistant", "content": "It is"}]])
@pytest.mark.parametrize("parts", [[TEXT, IMAGE], [IMAGE, TEXT], [IMAGE], []])
def test_prompt_goes_around_parts(parts: list[Any], after: list[Any]) -> None:
    """As parts of its own, around the last user turn and no other, whatever follows."""
    turns = [*EARLIER, {"role": "user", "content": parts}, *after]

    sent = render_conversation(SPEC, turns)

    before = [{"type": "text", "text": text} for text in ("Solve.", '{"n":1}')]
    asked = [*before, *parts, {"type": "text", "text": "Go."}]
    system = {"role": "system", "content": "Be brief."}
    assert [system, *EARLIER, {"role": "user", "content": asked}, *after] == sent


def test_parts_of_the_responses_api_keep_their_names() -> None:
    """A turn has parts of one API."""
    part = {"type": "input_text", "text": "q"}

    sent = render_conversation(
        PromptSpec(prefix="P"), [{"role": "user", "content": [part]}]
    )

    assert [{"type": "input_text", "text": "P"}, part] == sent[0]["content"]


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"prefix": "P"}, [{"role": "user", "content": [TEXT]}], True),
        ({"blocks": [1]}, [*EARLIER, {"role": "user", "content": [IMAGE]}], True),
        ({"instructions": "I"}, [{"role": "user", "content": [TEXT]}], False),
        ({"suffix": "S"}, EARLIER, False),
        ({"suffix": "S"}, [{"role": "assistant", "content": [TEXT]}], False),
        ({"suffix": "S"}, "text", False),
    ],
)
def test_asking_in_parts_is_known(spec: Any, value: Any, expected: bool) -> None:
    """Where prompt material goes around parts, and not around a text."""
    assert expected == asks_in_parts(PromptSpec(**spec), value)
