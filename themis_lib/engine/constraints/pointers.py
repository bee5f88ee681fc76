"""References within a JSON Schema, as local JSON pointers (RFC 6901)."""

from __future__ import annotations

import re
from typing import Any

# Longer chains of references are taken for circles, such as `{"$ref": "#"}`.
_LONGEST_CHAIN = 32


def resolve_pointer(
    root: Any,
    pointer: Any,
) -> Any:
    """Return what a pointer such as `#/$defs/node` leads to, or `None` if nothing.

    Only mappings are followed, since no keyword that is kept refers into a list.

    >>> resolve_pointer({"$defs": {"a/b": True}}, "#/$defs/a~1b")
    True
    """
    if not isinstance(pointer, str) or not re.match(r"#(/|$)", pointer):
        return None
    node = root
    for part in pointer.split("/")[1:]:
        if not isinstance(node, dict):
            return None
        # ~1 before ~0: `~01` is a tilde and a one, not a slash.
        node = node.get(part.replace("~1", "/").replace("~0", "~"))
    return node


def resolve_node(
    root: Any,
    node: Any,
) -> Any:
    """Return what the references of a node lead to, or `None` if nowhere.

    A node without a `$ref` is returned as it is.
    """
    for _ in range(_LONGEST_CHAIN):
        if not isinstance(node, dict) or "$ref" not in node:
            return node
        node = resolve_pointer(root, node["$ref"])
    return None
