"""Every name that an experiment may use without a module."""

from __future__ import annotations

import pytest

from themis_lib.components.imports import import_named
from themis_lib.components.registry import ADAPTERS, BUILTINS

NAMES = [
    (kind, name, place)
    for kind, names in BUILTINS.items()
    for name, place in names.items()
]


@pytest.mark.parametrize(
    ("kind", "name", "place"), NAMES, ids=[name for _, name, _ in NAMES]
)
def test_builtin_is_what_its_name_says(kind: str, name: str, place: str) -> None:
    """The class of each built-in declares the id that it is registered under."""
    assert name == import_named(kind, place).component_id


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapter_is_what_its_name_says(name: str) -> None:
    """The class of each adapter declares the id that it is registered under."""
    assert name == import_named("generator", ADAPTERS[name]).component_id
