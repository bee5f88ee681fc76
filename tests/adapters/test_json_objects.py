"""JSON objects as requests and replies have them."""

from __future__ import annotations

from themis_lib.adapters.json_objects import without_nulls


def test_only_none_is_left_out() -> None:
    """Zero, empty and false are values."""
    fields = {"a": None, "b": 0, "c": "", "d": False, "e": []}

    assert {"b": 0, "c": "", "d": False, "e": []} == without_nulls(fields)
