"""A schema is narrowed to what can be decoded, and anything else is refused."""

from __future__ import annotations

import re

import pytest

from tests.support.vocabularies import accepts
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.constraints.schemas import Narrowing
from themis_lib.errors import ConfigError


def test_json_is_compact_and_a_listed_key_cannot_return_in_disguise():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": True,
    }

    assert accepts('{"a":1,"b":"x"}', schema=schema)
    assert not accepts('{"a": 1}', schema=schema)
    assert not accepts('{"\\u0061":"x"}', schema=schema)
    assert not accepts('{"a":1}\n', schema=schema)


def test_an_object_has_the_properties_it_lists_unless_its_schema_composes():
    part = {"type": "object", "properties": {"a": {"type": "integer"}}}

    assert not accepts('{"a":1,"b":2}', schema=part)
    assert accepts(
        '{"a":1,"b":2}',
        schema={"allOf": [part, {"properties": {"b": {"type": "integer"}}}]},
    )
    assert accepts('{"a":1,"b":2}', schema={**part, "additionalProperties": True})


def deep(keyword: str, value: object) -> dict:
    return {"type": "object", "properties": {"p": {keyword: value}}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            deep("not", {}),
            (
                "#/properties/p/not: {} cannot be enforced while decoding; list what "
                "is allowed"
            ),
        ),
        (deep("if", {}), "if: {} cannot be enforced"),
        (deep("then", {}), "then: {} cannot be enforced"),
        (deep("else", {}), "else: {} cannot be enforced"),
        (deep("contains", {}), "contains: {} cannot be enforced"),
        (deep("minContains", 1), "minContains: 1 cannot be enforced"),
        (deep("maxContains", 1), "maxContains: 1 cannot be enforced"),
        (deep("additionalItems", False), "additionalItems: False cannot be enforced"),
        (deep("propertyNames", {}), "propertyNames: {} cannot be enforced"),
        (deep("dependentRequired", {}), "dependentRequired: {} cannot be enforced"),
        (deep("dependentSchemas", {}), "dependentSchemas: {} cannot be enforced"),
        (deep("dependencies", {}), "dependencies: {} cannot be enforced"),
        (deep("unevaluatedItems", False), "unevaluatedItems: False cannot be enforced"),
        (
            deep("unevaluatedProperties", False),
            "unevaluatedProperties: False cannot be enforced",
        ),
        (deep("$dynamicRef", "#a"), "dynamicRef: '#a' cannot be enforced"),
        (deep("$recursiveRef", "#"), "recursiveRef: '#' cannot be enforced"),
        (
            deep("contentEncoding", "base64"),
            "contentEncoding: 'base64' cannot be enforced",
        ),
        (deep("contentMediaType", "a/b"), "contentMediaType: 'a/b' cannot be enforced"),
        (deep("contentSchema", {}), "contentSchema: {} cannot be enforced"),
        (deep("uniqueItems", True), "uniqueItems: True cannot be enforced"),
        (deep("minProperties", 2), "minProperties: 2 cannot be enforced"),
        (
            deep("minLenght", 2),
            "minLenght: 2 is no keyword of JSON Schema; did you mean 'minLength'",
        ),
        (deep("type", "strin"), "'strin' is no type of JSON; did you mean 'string'"),
        (deep("format", "iri"), "'iri' is not enforced; use one of date, date-time"),
        ({"format": "date", "pattern": "a"}, "'date' has a pattern beside it"),
        (deep("$ref", "http://a/b"), "'http://a/b' leads nowhere in this schema"),
        (deep("$ref", "#/$defs/none"), "leads nowhere in this schema"),
        ({"$ref": "#"}, "leads nowhere in this schema"),
        (
            deep("pattern", "a(?=b)"),
            "#/properties/p/pattern: 'a(?=b)' uses a lookahead or lookbehind",
        ),
        (
            deep("pattern", r"\p{L}"),
            r"'\\p{L}' is not a regular expression: bad escape",
        ),
        (deep("pattern", 1), "pattern: 1 is not a text"),
        (deep("items", [{}]), "items: [{}] is a list; write prefixItems"),
        (deep("anyOf", {}), "anyOf: {} is not a list"),
        (deep("properties", []), "properties: [] is not a mapping"),
        (deep("items", "x"), "items: 'x' is no schema"),
        (deep("minLength", -1), "minLength: -1 is no count"),
        (deep("minItems", 1.5), "minItems: 1.5 is no count"),
        (deep("exclusiveMinimum", True), "exclusiveMinimum: True is not a number"),
        (deep("required", "a"), "required: 'a' is not a list"),
        (deep("const", 2**53 + 1), "is beyond 2**53"),
        (deep("maximum", 0.9999999999999999), "has more than 15 digits"),
        (deep("enum", ["a\x01"]), "has a control character"),
        (deep("multipleOf", 0.1), "0.1 is not exact in binary"),
        (deep("multipleOf", 0), "0 is not exact in binary"),
        (deep("const", float("nan")), "is not JSON"),
        (deep("const", "\ud800"), "has half a surrogate pair"),
        (deep("const", {1}), "is not JSON"),
        (
            {"patternProperties": {"a": {}, "b": {}}},
            "cannot be told apart from other keys",
        ),
        (
            {"patternProperties": {"a": {}}, "properties": {"b": {}}},
            "cannot be told apart from other keys",
        ),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            "has options that may hold together",
        ),
        ({"oneOf": [{"type": "integer"}], "anyOf": [{}]}, "stands beside anyOf"),
        (set[int], "uniqueItems: True cannot be enforced"),
        (object(), "has no JSON Schema"),
        ("int", "is a text; give the JSON Schema as a mapping"),
        (False, "False allows no text at all"),
        ({"enum": []}, "Unsatisfiable schema"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "Unsatisfiable schema"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, "cannot be decoded"),
    ],
)
def test_what_a_schema_asks_beyond_decoding_is_refused(schema, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        constraint(schema=schema)
    assert str(caught.value).startswith("schema")
    assert "\n" not in str(caught.value)


def test_annotations_are_dropped_at_every_depth():
    """What no value can violate is no part of the narrowed schema."""
    schema = {
        "title": "A list",
        "type": "array",
        "items": {"type": "string", "description": "a name", "x-order": 1},
    }

    narrowed = Narrowing("schema", schema).schema()

    assert {"type": "array", "items": {"type": "string"}} == narrowed


def test_a_property_named_like_a_keyword_is_a_property():
    """Names in `properties` are not read as keywords."""
    schema = {"properties": {"not": {"type": "null"}, "title": {"type": "null"}}}

    narrowed = Narrowing("schema", schema).schema()

    assert ["not", "title"] == list(narrowed["properties"])


def test_the_given_schema_is_not_changed():
    """Narrowing returns a new schema."""
    schema = {"type": "object", "properties": {"a": {"oneOf": [{"type": "null"}]}}}
    before = repr(schema)

    Narrowing("schema", schema).schema()

    assert before == repr(schema)
