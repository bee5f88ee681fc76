"""A reserve is known where a schema does not compose others."""

from __future__ import annotations

import pytest

from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.constraints.reserves import Reserve, reserve_of

pytest.importorskip("llguidance")


def test_the_reserve_of_choices_is_the_longest_one():
    """Sizes are in bytes."""
    assert Reserve(4, 0) == reserve_of(constraint(choices=["a", "éé", "xyz"]))


def test_the_reserve_of_a_pattern_is_its_farthest_text():
    """A pattern has no brackets to close."""
    assert Reserve(8, 0) == reserve_of(constraint(regex=r"\d{3}-\d{4}"))


def test_a_required_key_adds_to_every_level():
    """An object lacks at most its brackets, its required members and one more."""
    optional = {"type": "object", "properties": {"key": {"type": "boolean"}}}
    required = {**optional, "required": ["key"]}

    fixed, level = reserve_of(constraint(schema=optional))
    fixed_required, level_required = reserve_of(constraint(schema=required))

    member = len('"key":false,')
    assert (fixed + member - 3, level + member) == (fixed_required, level_required)


def test_a_schema_that_refers_to_itself_has_a_finite_reserve():
    """Each open bracket adds the same."""
    node = {
        "type": "object",
        "properties": {"below": {"type": "array", "items": {"$ref": "#"}}},
    }

    assert reserve_of(constraint(schema=node)).a_level > 0


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"type": "string"}]},
        {"anyOf": [{"type": "string"}], "maxLength": 3},
        {"type": "string", "pattern": "a", "maxLength": 3},
        {"type": "integer", "multipleOf": 7, "minimum": 3},
        {"type": "object", "patternProperties": {"a": {}}},
        {"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]},
    ],
)
def test_a_schema_that_composes_or_has_no_text_has_no_reserve(schema):
    """Its texts are checked token by token instead."""
    assert reserve_of(constraint(schema=schema)) is None
