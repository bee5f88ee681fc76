"""Templates of prompts: what they print, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib.core.prompts import PromptSpec, template_of
from themis_lib.core.templates import PromptTemplate, letter
from themis_lib.errors import ConfigError, RowError

QUESTION = {"question": "Largest?", "choices": ["2", "<3>"]}


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{{ question }}", "Largest?"),
        (
            "{{ question }}\n{% for c in choices %}\n{{ loop.index0 | letter }}) {{ c }}\n{% endfor %}\nAnswer:",
            "Largest?\nA) 2\nB) <3>\nAnswer:",
        ),
        ("{{ choices | lettered | join(' / ') }}", "A. 2 / B. <3>"),
        ("{{ choices }}", '["2","<3>"]'),
        ("{{ choices | json }}", '["2", "<3>"]'),
        ("{{ input.question }}\n", "Largest?"),
        ("{{ question | upper }}", "LARGEST?"),
    ],
)
def test_template_prints_the_fields_of_an_input(template: str, prompt: str) -> None:
    """Texts as they are, lists and objects as JSON, nothing escaped for HTML."""
    assert prompt == PromptTemplate(template).render(QUESTION)


def test_template_of_messages_makes_a_conversation() -> None:
    """A message for each role, in order."""
    spec = PromptSpec.model_validate(
        {
            "template": [
                {"role": "system", "content": "Pick one of {{ choices | length }}."},
                {"role": "user", "content": "{{ question }}"},
            ]
        }
    )
    template = template_of(spec)
    assert template is not None

    assert [
        {"role": "system", "content": "Pick one of 2."},
        {"role": "user", "content": "Largest?"},
    ] == template.render(QUESTION)
    assert ("choices", "question") == template.names


@pytest.mark.parametrize("value", ["2+2", 4, None, ["a"]], ids=repr)
def test_whole_input_has_a_name(value: Any) -> None:
    """An input without fields is `input`."""
    rendered = PromptTemplate("{{ input | json }}").render(value)

    assert {"2+2": '"2+2"', 4: "4", None: "null"}.get(
        value if not isinstance(value, list) else "", '["a"]'
    ) == rendered


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ qestion }}", "'qestion' is undefined"),
        ("{{ choices[7] }}", "no element 7"),
        ("{{ question.text }}", "no attribute 'text'"),
        ("{{ nothing }}", "it prints a null"),
        ("{{ [nothing] | lettered }}", "it prints a null"),
        ("{{ 26 | letter }}", "no position of a letter"),
        ("{{ question + 1 }}", "concatenate"),
        ("{{ question.__class__ }}", "unsafe"),
        ("{{ choices.append(1) }}", "unsafe"),
    ],
)
def test_what_cannot_be_printed_is_an_error_of_the_row(
    template: str, message: str
) -> None:
    """Never an empty text or the word None in a prompt."""
    with pytest.raises(RowError, match=r"^the prompt's template: ") as failure:
        PromptTemplate(template).render({**QUESTION, "nothing": None})

    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("a\n{{ b", 2),
        ("{% if a %}", 1),
        ("{{ a | nothing_like_it }}", 1),
        ("{{ a | random }}", 1),
    ],
)
def test_template_that_cannot_be_read_is_refused(template: str, line: int) -> None:
    """With its line; so is a filter that would print something else each time."""
    with pytest.raises(
        ConfigError, match=rf"^generation\.prompt_spec\.template, line {line}: "
    ):
        PromptTemplate(template)


def test_message_with_an_error_is_named_by_its_position() -> None:
    with pytest.raises(ConfigError, match=r"template\[1\], line 1"):
        PromptTemplate(
            [
                {"role": "system", "content": "ok"},
                {"role": "user", "content": "{{ a"},
            ]
        )


@pytest.mark.parametrize("index", [-1, 26, True, "0", 1.0])
def test_only_positions_have_letters(index: Any) -> None:
    with pytest.raises(ValueError, match="no position of a letter"):
        letter(index)


def test_spec_without_a_template_is_written_as_before() -> None:
    """So that what was stored for it is found."""
    assert ["instructions", "prefix", "suffix", "blocks"] == list(
        PromptSpec().model_dump()
    )
    assert "{{ x }}" == PromptSpec(template="{{ x }}").model_dump()["template"]
