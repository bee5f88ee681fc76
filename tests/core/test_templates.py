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
        ("{{ 'a' ~ nothing }}", "it prints a null"),
        ("{{ nothing | trim }}", "it prints a null"),
        ("{{ [nothing] | join }}", "it prints a null"),
        ("{{ some | join }}", "it prints a null"),
        ("{{ some ~ '' }}", "it prints a null"),
        ("{{ qestion | json }}", "'qestion' is undefined"),
        ("{{ some | map('upper') | lettered }}", "takes a list, not a generator"),
        (r"{{ '\ud800' }}", "surrogates not allowed"),
    ],
)
def test_what_cannot_be_printed_is_an_error_of_the_row(
    template: str, message: str
) -> None:
    """Never an empty text or the word None in a prompt."""
    with pytest.raises(RowError, match=r"^the prompt's template: ") as failure:
        PromptTemplate(template).render(
            {**QUESTION, "nothing": None, "some": ["a", None]}
        )

    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{{ nothing or 'none' }}", "none"),
        ("{{ nothing | default('none', true) }}", "none"),
        ("{{ nothing is none }} {{ nothing == none }}", "True True"),
        ("{{ some | reject('none') | join }}", "a"),
        ("{% for x in some %}{{ x or '-' }}{% endfor %}", "a-"),
        ("{{ some }} {{ some | json }}", '["a",null] ["a", null]'),
        ("{{ some | tojson }}", '["a", null]'),
    ],
)
def test_null_is_false_and_none(template: str, prompt: str) -> None:
    """In lists and objects it is JSON's null."""
    value = {"nothing": None, "some": ["a", None]}

    assert prompt == PromptTemplate(template).render(value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ doc.items }}",
        "{{ choices | map('upper') }}",
        "{{ choices.index }}",
        "{{ dict }}",
        "{{ self }}",
        "{{ doc.keys() }}",
    ],
)
def test_what_is_no_json_value_is_not_printed(template: str) -> None:
    """Its text can hold an address in memory: another prompt in every process."""
    with pytest.raises(RowError, match=r"it prints a .*which is no JSON value"):
        PromptTemplate(template).render({**QUESTION, "doc": {"items": [1]}})


def test_input_that_is_nested_too_deep_is_an_error_of_the_row() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(RowError, match="recursion"):
        PromptTemplate("{{ input }}").render(value)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "it is empty"),
        ([], "it is empty"),
        ("{% include 'a' %}", "needs another template"),
        ("{% macro m(a, a) %}{% endmacro %}", "duplicate argument"),
    ],
)
def test_template_that_could_print_no_prompt_is_refused(
    template: Any, message: str
) -> None:
    """Once, and not in every row."""
    with pytest.raises(ConfigError, match=rf"prompt_spec\.template: .*{message}"):
        PromptTemplate(template)


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


def test_suffix_without_a_user_turn_is_refused() -> None:
    """It would be sent nowhere."""
    turns = [{"role": "system", "content": "{{ a }}"}]
    spec = PromptSpec.model_validate({"template": turns, "suffix": "Answer:"})

    with pytest.raises(ConfigError, match="around the last user turn"):
        template_of(spec)


IMAGE = {"type": "image", "sha256": "ab" * 32, "media_type": "image/png", "bytes": 9}
TEXT = {"type": "text", "text": "What?"}


@pytest.mark.parametrize(
    ("template", "value", "printed"),
    [
        ("Q: {{ input }}", [TEXT, IMAGE], [{**TEXT, "text": "Q: What?"}, IMAGE]),
        ("{{ d.i }}", {"d": {"i": IMAGE}}, [IMAGE]),
        ("{{ all | join }}", {"all": [IMAGE, IMAGE]}, [IMAGE, IMAGE]),
        ("{{ d.i.media_type }}", {"d": {"i": IMAGE}}, "image/png"),
    ],
)
def test_part_goes_where_it_is_printed(template: str, value: Any, printed: Any) -> None:
    """Alone, in a list of parts, or deep in the input."""
    assert printed == PromptTemplate(template).render(value)


@pytest.mark.parametrize(
    "template", ["{{ input }}", "{{ d }}", "{{ d.i | json }}", "{{ d | tojson }}"]
)
def test_digest_of_a_file_is_not_printed(template: str) -> None:
    """Paid for, it would be all that the model is told of the image."""
    with pytest.raises(RowError, match="as JSON, which no model can see"):
        PromptTemplate(template).render({"d": {"i": IMAGE}})


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
