"""JSON objects as requests and replies have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


def without_nulls(fields: Mapping[str, Any]) -> JsonObject:
    """Return an object without the fields that are `None`.

    >>> without_nulls({"seed": 0, "stop": None})
    {'seed': 0}
    """
    known = {}
    for name, value in fields.items():
        if value is not None:
            known[name] = value
    return known
