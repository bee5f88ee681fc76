"""A reference leads to a node of its own schema, or nowhere."""

from __future__ import annotations

import pytest

from themis_lib.engine.constraints.pointers import resolve_node, resolve_pointer

ROOT = {
    "$defs": {
        "a/b": {"type": "null"},
        "~1": {"type": "string"},
        "chain": {"$ref": "#/$defs/a~1b"},
        "circle": {"$ref": "#/$defs/circle"},
    },
    "anyOf": [{"type": "integer"}],
}


def test_an_empty_pointer_is_the_whole_schema():
    """`#` is the root."""
    assert ROOT == resolve_pointer(ROOT, "#")


def test_slashes_and_tildes_are_escaped():
    """`~1` is a slash and `~0` a tilde, as in RFC 6901."""
    assert {"type": "null"} == resolve_pointer(ROOT, "#/$defs/a~1b")
    assert {"type": "string"} == resolve_pointer(ROOT, "#/$defs/~01")


@pytest.mark.parametrize(
    "pointer", ["#/$defs/none", "http://a/b", "#anchor", "#/anyOf/0", None, 3]
)
def test_what_is_no_place_of_the_schema_is_nothing(pointer):
    """Other documents, anchors and lists are not followed."""
    assert resolve_pointer(ROOT, pointer) is None


def test_references_are_followed_to_the_end():
    """A reference may lead to another one; a circle leads nowhere."""
    assert {"type": "null"} == resolve_node(ROOT, {"$ref": "#/$defs/chain"})
    assert resolve_node(ROOT, {"$ref": "#/$defs/circle"}) is None
    assert resolve_node(ROOT, True) is True
