"""Alternatives of a JSON Schema: whether two of them can hold for the same value.

A decoder writes a text from left to right, so it can follow `anyOf` but cannot check
afterwards that exactly one option of a `oneOf` holds. Where no two options can hold
together, both keywords mean the same.
"""

from __future__ import annotations

from typing import Any

from themis_lib.engine.constraints.pointers import resolve_node

TYPES = frozenset(
    {
        "null",
        "boolean",
        "number",
        "integer",
        "string",
        "array",
        "object",
    }
)
# An integer is a number too, so the two names are one where types are compared.
_DISTINCT_TYPES = TYPES - {"integer"}
# A schema may refer to itself, so the comparison of properties has to end.
_DEEPEST = 8


def are_disjoint(
    root: Any,
    one: Any,
    other: Any,
    depth: int = 0,
) -> bool:
    """Return whether no value satisfies both schemas.

    Types, constants and required properties decide; `False` also means "unknown".
    """
    one = resolve_node(root, one)
    other = resolve_node(root, other)
    if not isinstance(one, dict) or not isinstance(other, dict) or depth > _DEEPEST:
        return False
    types = _type_names(one)
    other_types = _type_names(other)
    if not types & other_types:
        return True
    strings = _allowed_strings(one)
    other_strings = _allowed_strings(other)
    if strings is not None and other_strings is not None:
        return not strings & other_strings
    if types != {"object"} or other_types != {"object"}:
        return False
    # A property tells objects apart only if both must have it.
    required = set(one.get("required", [])) & set(other.get("required", []))
    properties = one.get("properties", {})
    other_properties = other.get("properties", {})
    for name in sorted(required & properties.keys() & other_properties.keys()):
        if are_disjoint(
            root,
            properties[name],
            other_properties[name],
            depth + 1,
        ):
            return True
    return False


def _allowed_strings(node: dict[str, Any]) -> frozenset[str] | None:
    """Return the only values a node allows, or `None` if some are not strings."""
    values = [node["const"]] if "const" in node else node.get("enum")
    if not isinstance(values, list):
        return None
    # Equal numbers may be written in several ways, so only strings are compared.
    if not all(isinstance(value, str) for value in values):
        return None
    return frozenset(values)


def _type_names(node: dict[str, Any]) -> frozenset[str]:
    if "type" not in node:
        is_string = _allowed_strings(node) is not None
        return frozenset({"string"}) if is_string else _DISTINCT_TYPES
    types = node["type"] if isinstance(node["type"], list) else [node["type"]]
    return frozenset("number" if name == "integer" else name for name in types)
