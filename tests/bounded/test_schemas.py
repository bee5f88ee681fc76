"""Schemas with regular expressions: what is invalid, and that validation ends."""

from __future__ import annotations

import pytest

from themis_lib.bounded.schemas import Invalid, find_invalid, has_patterns

HOSTILE = "a" * 60 + "!"
ENDLESS = [
    ({"pattern": "^(a+)+$"}, HOSTILE),
    ({"items": {"pattern": "^(a|aa)+$"}}, [HOSTILE]),
    ({"patternProperties": {"^(a+)+$": {}}}, {HOSTILE: 1}),
    (
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
        {HOSTILE: 1},
    ),
    ({"$defs": {"x": {"pattern": "^(a+)+$"}}, "$ref": "#/$defs/x"}, HOSTILE),
]


@pytest.mark.parametrize(("schema", "value"), ENDLESS)
def test_validation_that_takes_for_ever_ends(schema, value):
    """With an error that names the time and the cure."""
    assert has_patterns(schema)
    with pytest.raises(ValueError, match=r"took more than 0.2 s of processor time"):
        find_invalid(schema, value, cpu_s=0.2)


def test_invalid_value_is_described():
    """By the error that says most, where it is, and the first error."""
    schema = {"properties": {"a": {"pattern": "^x"}}, "required": ["b"]}

    assert find_invalid(schema, {"a": "xy", "b": 1}) is None
    assert Invalid("$.a", "'y' does not match '^x'", "'y' does not match '^x'") == (
        find_invalid(schema, {"a": "y", "b": 1})
    )


def test_schema_that_refers_elsewhere_is_an_error():
    """Nothing is fetched."""
    schema = {"$ref": "https://example.org/none", "pattern": "a"}

    with pytest.raises(ValueError, match="the schema refers to what is not in it"):
        find_invalid(schema, "a")


def test_validation_without_an_end_is_an_error():
    """A reference that leads to itself fails each time, so the row is not tried again."""
    schema = {"$ref": "#", "pattern": "a"}

    with pytest.raises(ValueError, match="the schema refers to itself without end"):
        find_invalid(schema, "a")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, False),
        (True, False),
        ({"properties": {"a": {"pattern": "b"}}}, True),
        ({"anyOf": [{"items": {"patternProperties": {}}}]}, True),
        ({"enum": ["pattern"]}, False),
    ],
)
def test_patterns_are_found_at_any_depth(schema, expected):
    """Other schemas are validated in this process."""
    assert expected == has_patterns(schema)
