"""A constraint is made of what can be enforced; everything else is refused."""

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
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tests.support.vocabularies import accepts
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.errors import ConfigError


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
