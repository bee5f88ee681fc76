"""Alternatives are told apart by types, constants and required properties."""

from __future__ import annotations

import pytest

from tests.support.vocabularies import accepts
from themis_lib.engine.constraints.alternatives import are_disjoint


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


def tagged(value: str, *, required: bool = True) -> dict:
    return {
        "type": "object",
        "properties": {"kind": {"const": value}},
        "required": ["kind"] if required else [],
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"type": "string"}, {"type": "integer"}),
        ({"type": ["null", "string"]}, {"type": "array"}),
        ({"const": "a"}, {"enum": ["b", "c"]}),
        (tagged("cat"), tagged("dog")),
    ],
)
def test_schemas_without_a_common_value_are_disjoint(one, other):
    """The order of the two does not matter."""
    assert are_disjoint({}, one, other)
    assert are_disjoint({}, other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"type": "integer"}, {"type": "number"}),
        ({"const": "a"}, {"enum": ["a", "b"]}),
        ({"const": 1}, {"const": 2}),
        (tagged("cat"), tagged("dog", required=False)),
        ({}, {"type": "null"}),
        (True, {"type": "null"}),
        ({"$ref": "#"}, {"type": "null"}),
    ],
)
def test_schemas_that_may_share_a_value_are_not_disjoint(one, other):
    """What cannot be decided counts as shared."""
    assert not are_disjoint({"$ref": "#"}, one, other)


def test_a_schema_that_refers_to_itself_is_compared_in_the_end():
    """The comparison stops at a depth, and then knows nothing."""
    root = {
        "type": "object",
        "properties": {"next": {"$ref": "#"}},
        "required": ["next"],
    }

    assert not are_disjoint(root, root, root)
