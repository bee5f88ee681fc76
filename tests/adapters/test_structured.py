"""The form of an output: the response format to ask for, and the check of the reply."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import field_validator

from tests.support.answer_models import Answer, EvenAnswer
from themis_lib.adapters.structured import (
    Structure,
    allows_strict,
    json_schema_format,
    strict,
    structure,
)
from themis_lib.errors import ComponentError

INTEGER = {"type": "integer"}
CLOSED = {
    "type": "object",
    "properties": {"a": INTEGER},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        (Answer, '{"number": 4, "unit": null}', {"number": 4, "unit": None}),
        (Answer, '{"number": "4"}', {"number": "4"}),
        (list[int], "[1, 2]", [1, 2]),
        (tuple[int, str], '[1, "a"]', [1, "a"]),
        (INTEGER, "4", 4),
        ({}, "null", None),
    ],
)
def test_output_that_fits_is_its_json_value(
    schema: Any, text: str, expected: Any
) -> None:
    """The plain value is kept, not what pydantic makes of it."""
    assert expected == structure(schema, None).read(text)


@pytest.mark.parametrize(
    ("schema", "text", "reason"),
    [
        (Answer, "four", "Expecting value"),
        (Answer, '{"number": "x"}', "valid integer"),
        (EvenAnswer, '{"number": 3}', "not even"),
        (list[int], '{"a": 1}', "valid array"),
        (Literal["a", "b"], '"c"', "'a' or 'b'"),
        (INTEGER, '"4"', "'4' is not of type 'integer'"),
        (CLOSED, '{"a": 1, "b": 2}', "Additional properties are not allowed"),
    ],
)
def test_output_that_does_not_fit_is_refused(
    schema: Any, text: str, reason: str
) -> None:
    """The reason is that of the parser, of pydantic or of the JSON Schema."""
    with pytest.raises(ValueError, match=reason):
        structure(schema, None).read(text)


@pytest.mark.parametrize("response_format", [None, "text", {"type": "grammar"}])
def test_output_is_text_where_no_json_was_asked_for(response_format: Any) -> None:
    """Even if it looks like JSON."""
    assert '{"a": 1}' == structure(None, response_format).read('{"a": 1}')


def test_json_object_is_any_json() -> None:
    """The format says nothing about its content."""
    asked = structure(None, "json_object")

    assert {"type": "json_object"} == asked.response_format
    assert {"a": [1]} == asked.read('{"a": [1]}')
    with pytest.raises(ValueError, match="Expecting value"):
        asked.read("four")


@pytest.mark.parametrize(
    "given",
    [
        {"type": "json_schema", "json_schema": {"name": "n", "schema": INTEGER}},
        {"type": "json_schema", "name": "n", "schema": INTEGER},
        {"type": "json_object", "schema": INTEGER},
    ],
    ids=["nested", "flat", "llama.cpp"],
)
def test_response_format_in_full_is_sent_and_checked(given: dict[str, Any]) -> None:
    """Its schema may be nested, as Chat Completions write it, or flat."""
    asked = structure(None, given)

    assert given == asked.response_format
    assert 4 == asked.read("4")
    with pytest.raises(ValueError, match="is not of type 'integer'"):
        asked.read('"4"')


def test_no_schema_and_no_format_is_no_structure() -> None:
    """Nothing is asked for and nothing checked."""
    assert Structure() == structure(None, None)


def test_json_schema_is_asked_for_under_its_title() -> None:
    """The user's schema is sent as it is."""
    schema = {"title": "My answer", **INTEGER}

    assert json_schema_format(schema, name="My answer") == (
        structure(schema, None).response_format
    )
    assert json_schema_format(INTEGER, name="output") == (
        structure(INTEGER, None).response_format
    )


def test_type_is_asked_for_in_strict_mode() -> None:
    """Every object of a type's schema is closed, and requires every property."""
    asked = structure(Answer, None).response_format

    assert asked is not None
    inner = asked["json_schema"]
    assert ("Answer", True) == (inner["name"], inner["strict"])
    assert ["number", "unit"] == inner["schema"]["required"]
    assert inner["schema"]["additionalProperties"] is False


def test_code_of_the_classes_in_a_type_counts() -> None:
    """Two models of one JSON Schema may have validators that accept different values."""

    class Answer(EvenAnswer):
        @field_validator("number")
        @classmethod
        def is_even(cls, number: int) -> int:
            return number

    first, second = structure(Answer, None), structure(EvenAnswer, None)

    assert first.code != second.code
    assert structure(list[Answer], None).code == first.code
    assert structure(Answer | EvenAnswer, None).code == (
        structure(EvenAnswer | Answer, None).code
    )


@pytest.mark.parametrize("schema", [list[int], int | None, Literal["a"], INTEGER])
def test_types_of_python_have_no_code(schema: Any) -> None:
    """They change with Python alone, which is no part of an identity."""
    assert structure(schema, None).code is None


@pytest.mark.parametrize(
    ("schema", "response_format", "said"),
    [
        (Answer, "json_object", "^schema and response_format both say .*; give one$"),
        ({"type": "integr"}, None, "^schema: it is no JSON Schema: 'integr' is not"),
        ("Answer", None, "^schema='Answer': give a JSON Schema, a pydantic model"),
        (object(), None, "^schema=<object .*: no JSON Schema can be made of it"),
        (None, "json", "^response_format='json': write 'json_object', or an object"),
        (None, {"schema": {}}, "an object with a `type`$"),
        (None, {"type": 3}, "an object with a `type`$"),
        (None, {"type": "json_schema"}, "^response_format: a json_schema needs a `sch"),
        (None, {"type": "json_schema", "json_schema": 3}, "needs a `schema`"),
    ],
)
def test_structure_that_cannot_be_used_is_refused(
    schema: Any, response_format: Any, said: str
) -> None:
    """The message names the setting, and says what to write."""
    with pytest.raises(ComponentError, match=said):
        structure(schema, response_format)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Answer", "Answer"),
        ("My answer/größe", "My_answer_gr__e"),
        ("x" * 70, "x" * 64),
    ],
)
def test_name_of_a_format_has_the_characters_that_the_api_accepts(
    name: str, sent: str
) -> None:
    """At most 64 letters, digits, underscores and hyphens."""
    assert sent == json_schema_format(INTEGER, name=name)["json_schema"]["name"]


@pytest.mark.parametrize(
    ("schema", "allowed"),
    [
        (INTEGER, True),
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({"type": "object", "properties": {"a": INTEGER}, "required": ["a"]}, False),
        ({"properties": {"a": INTEGER}}, False),
        ({"type": "array", "items": CLOSED}, True),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"anyOf": [CLOSED, {"type": "object"}]}, False),
        ({"$defs": {"properties": CLOSED}, "$ref": "#/$defs/properties"}, True),
        ({"$defs": {"a": {"type": "object"}}, "$ref": "#/$defs/a"}, False),
    ],
)
def test_strict_mode_accepts_closed_objects_alone(
    schema: dict[str, Any], allowed: bool
) -> None:
    """One object inside that is open, or has an optional property, is enough to refuse."""
    assert allowed is allows_strict(schema)
    assert allowed is json_schema_format(schema, name="n")["json_schema"]["strict"]


def test_strict_schema_closes_every_object() -> None:
    """Defaults are left out; a property may still be called "default"."""
    schema = {
        "$defs": {"default": {"properties": {"b": {"default": 1, **INTEGER}}}},
        "properties": {
            "default": {"type": "string"},
            "a": {"anyOf": [{"properties": {"c": INTEGER}}, INTEGER]},
        },
    }

    def closed(**properties: Any) -> dict[str, Any]:
        return {
            "properties": properties,
            "additionalProperties": False,
            "required": sorted(properties),
        }

    assert {
        "$defs": {"default": closed(b=INTEGER)},
        **closed(default={"type": "string"}, a={"anyOf": [closed(c=INTEGER), INTEGER]}),
    } == strict(schema)


@pytest.mark.parametrize("schema", [Answer, list[Answer], dict[str, int], EvenAnswer])
def test_strict_schema_of_a_type_is_accepted_where_its_names_are_known(
    schema: Any,
) -> None:
    """A mapping with any keys cannot be closed."""
    asked = structure(schema, None).response_format

    assert asked is not None
    assert (schema != dict[str, int]) is asked["json_schema"]["strict"]


def test_schema_whose_pattern_tries_for_ever_is_an_output_that_does_not_fit():
    """The check ends; others are checked as before."""
    made = structure(
        {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}, None
    )
    hostile = "a" * 60 + "!"

    with pytest.raises(ValueError, match="took more than 1 s of processor time"):
        made.read(f'{{"a": "{hostile}"}}')
    with pytest.raises(ValueError, match="'b' does not match"):
        made.read('{"a": "b"}')
    assert {"a": "aa"} == made.read('{"a": "aa"}')
