"""Each rule leaves its keywords in a form that can be enforced."""

from __future__ import annotations

import pytest

from themis_lib.engine.constraints.rules import (
    check_counts,
    check_literals,
    check_multiple,
    close_object,
    include_bounds,
    merge_alternatives,
    translate_pattern_properties,
    translate_text,
)
from themis_lib.engine.constraints.sites import Site
from themis_lib.errors import ConfigError


def applied(rule, node: dict, *, is_closed: bool = True) -> dict:
    """Return a node as a rule leaves it."""
    kept = dict(node)
    rule(
        Site(
            argument="schema",
            root=node,
            node=node,
            place="#",
            is_closed=is_closed,
        ),
        kept,
    )
    return kept


def test_exclusive_bounds_of_fractions_become_inclusive():
    """The stricter one of two bounds holds."""
    assert {"maximum": 4.999999999999} == applied(
        include_bounds, {"exclusiveMaximum": 5}
    )
    assert {"minimum": 3} == applied(
        include_bounds, {"exclusiveMinimum": 0, "minimum": 3}
    )


def test_exclusive_bounds_of_integers_are_kept():
    """An integer has an exact neighbour."""
    node = {"type": "integer", "exclusiveMaximum": 5}

    assert node == applied(include_bounds, node)


def test_multiples_of_an_integer_are_integers():
    """`number` becomes `integer`, and other types remain."""
    node = {"type": ["number", "null"], "multipleOf": 7}

    assert ["integer", "null"] == applied(check_multiple, node)["type"]


def test_multiples_of_a_binary_fraction_stay_numbers():
    """0.25 is exact, so that nothing changes."""
    node = {"type": "number", "multipleOf": 0.25}

    assert node == applied(check_multiple, node)


def test_literals_are_checked_at_every_depth():
    """A number inside of a constant's list is a literal, too."""
    node = {"const": {"a": [1, 2**53 + 1]}}

    with pytest.raises(ConfigError, match="#/const: 9007199254740993 is beyond"):
        applied(check_literals, node)


def test_a_date_becomes_a_pattern_and_other_formats_remain():
    """llguidance's own date knows no leap years."""
    date = applied(translate_text, {"format": "date"})

    assert ["pattern"] == list(date)
    assert {"format": "email"} == applied(translate_text, {"format": "email"})


def test_a_pattern_of_properties_allows_no_others():
    """Keys that do not match the pattern are refused while decoding."""
    node = {"patternProperties": {"^a$": {"type": "null"}}}

    assert {**node, "additionalProperties": False} == applied(
        translate_pattern_properties, node
    )


@pytest.mark.parametrize(
    "node",
    [
        {"uniqueItems": False},
        {"uniqueItems": True, "maxItems": 1},
        {"minProperties": 1, "required": ["a"]},
    ],
)
def test_counts_that_hold_anyway_are_dropped(node):
    """What is left needs no count."""
    left = applied(check_counts, node)

    assert not {"uniqueItems", "minProperties"} & left.keys()


def test_disjoint_options_become_alternatives():
    """`oneOf` and `anyOf` then mean the same."""
    options = [{"type": "null"}, {"type": "string"}]

    assert {"anyOf": options} == applied(merge_alternatives, {"oneOf": options})


def test_an_object_is_closed_unless_it_speaks_of_other_properties():
    """Neither is it closed where the schema composes objects."""
    node = {"properties": {"a": {}}}

    assert {**node, "additionalProperties": False} == applied(close_object, node)
    assert node == applied(close_object, node, is_closed=False)
    for others in ({"maxProperties": 3}, {"required": ["b"]}):
        assert {**node, **others} == applied(close_object, {**node, **others})
