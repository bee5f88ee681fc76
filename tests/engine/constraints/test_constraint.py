"""A constraint is made of what can be enforced; everything else is refused, with the
place and the fix.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.constraints.patterns import translate
from themis_lib.errors import ConfigError

jsonschema = pytest.importorskip("jsonschema")
llguidance = pytest.importorskip("llguidance")


class Bytes:
    """A vocabulary of single bytes."""

    eos_token_id = 256
    bos_token_id = None
    tokens = (*(bytes([byte]) for byte in range(256)), b"</s>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


TOKENIZER = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Bytes()))


def accepts(text: str, **asked) -> bool:
    """Whether a text can be written under what was asked for."""
    matcher = llguidance.LLMatcher(TOKENIZER, constraint(**asked).grammar, log_level=0)
    encoded = list(text.encode())
    return matcher.validate_tokens([*encoded, 256]) == len(encoded) + 1


class Answer(BaseModel):
    value: int = Field(ge=0, le=10)
    unit: Literal["m", "km"] | None = None


@dataclass
class Point:
    x: int
    y: int


class Named(TypedDict):
    name: str


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (Answer, '{"value":7,"unit":"km"}', '{"value":11}'),
        (Answer(value=1), '{"value":10}', '{"value":1,"other":2}'),
        (Answer.model_json_schema(), '{"value":7}', '{"unit":"m"}'),
        (int, "-12", "1.5"),
        (list[int], "[1,2]", '["1"]'),
        (Point, '{"x":1,"y":2}', '{"y":2,"x":1}'),
        (Named, '{"name":"a"}', "{}"),
        (Literal["a", "b"], '"a"', '"c"'),
        (Colour, '"red"', '"green"'),
        (int | None, "null", '"null"'),
        (tuple[int, str], '[1,"a"]', "[1]"),
        (dict[str, int], '{"any":1}', '{"any":"1"}'),
        (Annotated[str, Field(min_length=2, max_length=3)], '"ab"', '"abcd"'),
        (datetime.date, '"2024-02-29"', '"2023-02-29"'),
        (datetime.datetime, '"2024-02-29T23:59:59Z"', '"2024-02-30T00:00:00Z"'),
        (datetime.time, '"10:00:00.5+01:00"', '"10:00:60Z"'),
        (UUID, '"12345678-1234-1234-1234-123456789abc"', '"1234"'),
        (True, "[1,{}]", "[1"),
        ({"type": "number", "exclusiveMaximum": 1}, "0.5", "0.99999999999999999"),
        ({"type": "number", "multipleOf": 7}, "14", "14.0"),
        ({"type": "string", "pattern": "b+"}, '"abc"', '"ac"'),
        ({"type": "string", "pattern": "^a|b$"}, '"xb"', '"ba"'),
        (
            {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}},
            '{"n_a":1}',
            '{"m":1}',
        ),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "1", "null"),
        ({"type": "object", "x-order": 3, "minProperties": 1}, '{"a":1}', "{}"),
        ({"type": "array", "uniqueItems": True, "maxItems": 1}, "[1]", "[1,1]"),
    ],
)
def test_a_schema_may_be_given_in_any_of_its_forms(schema, good, bad):
    assert accepts(good, schema=schema)
    assert not accepts(bad, schema=schema)


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


def test_alternatives_told_apart_by_a_constant_are_enforced():
    kinds = [
        {
            "type": "object",
            "properties": {"kind": {"const": kind}},
            "required": ["kind"],
        }
        for kind in ("cat", "dog")
    ]

    assert accepts('{"kind":"dog"}', schema={"oneOf": kinds})
    assert accepts(
        '{"kind":"cat"}',
        schema={
            "oneOf": [{"$ref": "#/$defs/cat"}, kinds[1]],
            "$defs": {"cat": kinds[0]},
        },
    )


def deep(keyword: str, value: object) -> dict:
    return {"type": "object", "properties": {"p": {keyword: value}}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            deep("not", {}),
            "#/properties/p/not: {} cannot be enforced while decoding; list what is allowed",
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


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"\d{3}-\d{4}", "555-1234", "5551234"),
        (r"^(?:yes|no)$", "yes", "yesno"),
        (r"\A[a-z]+\Z", "abc", "ab1"),
        (r"(?P<year>\d+)", "1999", "٣"),
        (r"(?i)strasse|ok", "STRAſse", "ja"),
        (r"\w+", "naïve_1", "a b"),
        (r"[^\d]", "a", "٣"),
        (r".", "é", "\n"),
        (r"(?s).", "\n", ""),
        (r"a*?", "aaa", "b"),
        (r"(?x) a  b # spaces are free", "ab", "a b"),
        (r"(?a)\w", "a", "é"),
        (r"(?m)^a$", "a", "a\n"),
        (r"[\]/\\^-]", "/", "x"),
        (r"😀+", "😀😀", "☺"),
        ("", "", "a"),
        (r"\x00", "\0", "0"),
        (r"\s", "\t", "\u2003"),
        (r"a{0}b", "b", "ab"),
    ],
)
def test_a_pattern_is_read_as_python_reads_it(pattern, good, bad):
    assert accepts(good, regex=pattern)
    assert re.fullmatch(pattern, good)
    assert not accepts(bad, regex=pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a(?=b)", "a lookahead or lookbehind"),
        ("(?<=a)b", "a lookahead or lookbehind"),
        ("a(?!b)", "a negative lookahead or lookbehind"),
        (r"(a)\1", "a backreference"),
        ("(a)(?(1)b|c)", "a conditional group"),
        ("a++b", "a possessive quantifier"),
        ("(?>a|b)", "an atomic group"),
        (r"a\b", r"the word boundary"),
        (r"a\B", r"the word boundary"),
        ("a^b", "^ after the beginning"),
        ("a$b", "$ before the end"),
        (r"a\Ab", "after the beginning"),
        (r"a\Zb", "before the end"),
        ("(^a)+", "^ after the beginning"),
        ("[", "is not a regular expression: unterminated character set"),
        (r"[^\s\S]", "matches nothing"),
        (r"\ud800", "matches nothing"),
        ("\ud800", "has half a surrogate pair"),
        (7, "is not a text"),
        ("(?:a{9999}){9999}", "a repetition of at least 99980001 bytes"),
    ],
)
def test_what_no_automaton_matches_is_refused(pattern, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        constraint(regex=pattern)
    assert str(caught.value).startswith("regex: ")


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from(
        [r"\w", r"\W", r"\S", r"\D", r"[^\W\d]", r"(?i)[k-s]", r"(?i)[^ß]"]
    ),
)
def test_a_class_holds_the_same_characters_as_in_python(character, pattern):
    ours = re.compile(translate(pattern).text)

    assert bool(re.fullmatch(pattern, character)) == bool(ours.fullmatch(character))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([], "choices: [] is not a list of at least one text"),
        ("yes", "choices: 'yes' is not a list of at least one text"),
        ({"a": 1}, "is not a list of at least one text"),
        (["a", "a"], "choices[1]: 'a' is there twice"),
        (["a", 1], "choices[1]: 1 is not a text"),
        (["\ud800"], "choices[0]: '\\ud800' has half a surrogate pair"),
    ],
)
def test_choices_that_are_no_list_of_distinct_texts_are_refused(choices, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        constraint(choices=choices)


def test_a_response_format_is_openais():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
    }
    named = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    assert constraint(response_format={"type": "text"}) is None
    assert accepts('{"anything":[1]}', response_format={"type": "json_object"})
    assert not accepts("[1]", response_format={"type": "json_object"})
    assert constraint(schema=schema) == constraint(response_format=named)
    assert constraint(schema=schema) == constraint(
        response_format={"type": "json_schema", "schema": schema}
    )


@pytest.mark.parametrize(
    ("response_format", "message"),
    [
        (
            {"type": "json_objekt"},
            "has the unknown type 'json_objekt'; did you mean 'json_object'?",
        ),
        ({"type": "json_schema"}, "has no schema; write"),
        ("json", "response_format: 'json' is not a mapping"),
    ],
)
def test_an_unknown_response_format_is_refused(response_format, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        constraint(response_format=response_format)


def test_a_text_has_at_most_one_constraint():
    assert constraint() is None
    with pytest.raises(ConfigError, match="'regex' and 'choices' were given"):
        constraint(regex="a", choices=["a"])


def test_the_source_is_the_identity_and_is_json():
    one = {"type": "object", "properties": {"a": {}, "b": {}}}
    other = {"type": "object", "properties": {"b": {}, "a": {}}}
    sources = [
        constraint(schema=one).source,
        constraint(schema=other).source,
        constraint(regex="a").source,
        constraint(choices=["a"]).source,
    ]

    assert len({json.dumps(source, sort_keys=True) for source in sources}) == len(
        sources
    )
    assert hash(constraint(regex="a")) == hash(constraint(regex="a"))


def test_the_module_needs_no_llguidance_until_it_is_used():
    code = """
import sys
sys.modules["llguidance"] = None
from themis_lib.engine.constraints.constraint import constraint
import themis_lib.engine.constraints.guide
try:
    constraint(regex="a")
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert (
        done.stdout == "regex needs the package 'llguidance': pip install llguidance\n"
    )
