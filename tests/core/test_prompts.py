"""How prompt material goes around an input."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import PromptSpec
from themis_lib.core.prompts import is_conversation, render_conversation, render_prompt

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
    """Earlier turns are history; turns that are no text stay as they are."""
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": "second"},
        {"role": "user", "content": [{"type": "image"}]},
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
