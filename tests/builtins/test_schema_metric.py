"""JSON Schema: what is valid, what is not, and what is no schema."""

from __future__ import annotations

import pytest

from tests.support.scoring import reason, score, verdict
from themis_lib.builtins.schema_metric import JsonSchema
from themis_lib.components.build import component_identity
from themis_lib.errors import ComponentError

ITEM = {
    "type": "object",
    "properties": {"price": {"type": "number"}, "name": {"type": "string"}},
}
DRAFT = "https://json-schema.org/draft/2020-12/schema"

#: From the JSON-Schema-Test-Suite, `tests/draft2020-12`: file, schema, valid and
#: invalid instances.
SUITE = [
    ("type", {"type": "integer"}, [1, 1.0], [1.1, "foo", "1", {}, [], True]),
    ("type", {"type": "string"}, ["foo", "1", ""], [1, 1.1, {}, [], True]),
    (
        "type",
        {"type": ["array", "object", "null"]},
        [[1, 2, 3], {"foo": 123}],
        [123, "foo"],
    ),
    (
        "required",
        {"properties": {"foo": {}, "bar": {}}, "required": ["foo"]},
        [{"foo": 1}, [], "", 12],
        [{"bar": 1}],
    ),
    (
        "additionalProperties",
        {
            "properties": {"foo": {}, "bar": {}},
            "patternProperties": {"^v": {}},
            "additionalProperties": False,
        },
        [{"foo": 1}, [1, 2, 3], 12, {"foo": 1, "vroom": 2}],
        [{"foo": 1, "bar": 2, "quux": "boom"}],
    ),
    (
        "additionalProperties",
        {
            "allOf": [{"properties": {"foo": {}}}],
            "additionalProperties": {"type": "boolean"},
        },
        [],
        [{"foo": 1, "bar": True}],
    ),
]


@pytest.mark.parametrize(("file", "schema", "valid", "invalid"), SUITE)
def test_instances_of_the_official_suite_are_judged_as_it_says(
    file, schema, valid, invalid
):
    """In a schema of the setting and in one of the case."""
    for metric, expected in [
        (JsonSchema(schema={"$schema": DRAFT, **schema}, read_text=False), None),
        (JsonSchema(read_text=False), {"$schema": DRAFT, **schema}),
    ]:
        assert [1.0] * len(valid) == [score(metric, value, expected) for value in valid]
        assert [0.0] * len(invalid) == [
            score(metric, value, expected) for value in invalid
        ]


def test_example_of_jsonschema_is_judged_as_it_says():
    """The README of jsonschema: eggs at 34.99 are valid, at "Invalid" not, and why."""
    metric = JsonSchema(schema=ITEM)

    assert 1.0 == score(metric, {"name": "Eggs", "price": 34.99}, None)
    wrong = verdict(metric, {"name": "Eggs", "price": "Invalid"}, None)
    assert (0.0, {"reason": "$.price: 'Invalid' is not of type 'number'"}) == (
        wrong.value,
        wrong.details,
    )


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ('{"name": "Eggs", "price": 34.99}', 1.0, None),
        ('{"name": "Eggs"', 0.0, {"reason": "the text is no JSON document"}),
        ("Eggs", 0.0, {"reason": "the text is no JSON document"}),
        ('{"price": NaN}', 0.0, {"reason": "the text is no JSON document"}),
        ('"Eggs"', 0.0, {"reason": "$: 'Eggs' is not of type 'object'"}),
        ("[" * 100_000, 0.0, {"reason": "the text is no JSON document"}),
    ],
)
def test_text_is_read_as_json(text, value, why):
    """A text that is no JSON is not what was asked for: a verdict, not an error."""
    found = verdict(JsonSchema(schema=ITEM), text, None)

    assert (value, why) == (found.value, found.details)


def test_text_can_be_the_value_itself():
    """Where a parser has read the JSON already, a text is a JSON string."""
    assert [0.0, 1.0] == [
        score(JsonSchema(schema={"type": "string"}, read_text=read), "Eggs", None)
        for read in (True, False)
    ]


def test_reason_is_cut():
    """A long output does not make the reason long."""
    found = verdict(
        JsonSchema(schema={"type": "integer"}, read_text=False), "x" * 1_000_000, None
    )

    assert 200 == len(found.details["reason"])


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ("text", "the expected output: it is no JSON Schema: write an object"),
        (
            {"type": "no type"},
            "the expected output: it is no JSON Schema: 'no type' is not valid ",
        ),
        (
            {"$ref": "https://example.com/item"},
            "the schema refers to what is not in it: ",
        ),
    ],
)
def test_schema_of_a_case_that_is_none_is_an_error_of_that_case(expected, why):
    """The other cases are still judged; nothing is fetched."""
    assert reason(JsonSchema(), 1, expected).startswith(why)


def test_malformed_schema_is_refused():
    """The metric's own schema is checked when it is built."""
    with pytest.raises(
        ComponentError, match="builtin/json_schema: schema: it is no JSON Schema: "
    ):
        JsonSchema(schema={"type": "no type"})


def test_own_schema_does_not_read_the_expected_output():
    """An expected output that changes does not score again what does not depend on
    it.
    """
    assert (("value",), ("value", "expected_output")) == (
        JsonSchema(schema=ITEM).reads,
        JsonSchema().reads,
    )
    assert ["no answer", "the case has no expected output"] == [
        reason(JsonSchema(schema=ITEM), None, None),
        reason(JsonSchema(), 1, None),
    ]


def test_schema_and_version_are_identity():
    """Another schema, or another version of jsonschema, scores again."""
    settings = component_identity("metric", JsonSchema(schema=ITEM))["settings"]

    assert (ITEM, ["jsonschema"]) == (settings["schema"], list(settings["libraries"]))


def test_schema_whose_pattern_tries_for_ever_is_an_error_of_its_row():
    """The metric's own or that of the case; the next row is judged."""
    schema = {"type": "string", "pattern": "^(a+)+$"}
    for metric in (
        JsonSchema(schema=schema, max_cpu_s=0.2, read_text=False),
        JsonSchema(max_cpu_s=0.2, read_text=False),
    ):
        why = reason(metric, "a" * 60 + "!", schema)

        assert "took more than 0.2 s of processor time" in why
        assert 1.0 == score(metric, "aa", schema)
        assert {"reason": "$: 'b' does not match '^(a+)+$'"} == (
            verdict(metric, "b", schema).details
        )
