"""What an object was made with, told apart from what a run left behind in it."""

from __future__ import annotations

import dataclasses
import dis
import functools
import inspect
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from themis_lib.core.secrets import may_be_credential
from themis_lib.identity.bytecode import functions_of, is_plain

#: Functions and what wraps them.
FUNCTION_TYPES = (
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    functools.partial,
)
#: Opcodes that change an attribute.
_STORES = ("STORE_ATTR", "DELETE_ATTR")
#: Methods that set an object up: what they store is a setting.
_SETUP = (
    "__init__",
    "__post_init__",
    "__new__",
    "__setattr__",
)


def settings_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield an object's settings by name: its fields, or what only `__init__` sets.

    Credentials are left out. Of attributes that are no declared fields, only plain
    values and runnable ones: the others may be what a run left behind.
    """
    declared = _declared_fields(value)
    names = declared
    if names is None:
        names = list(getattr(value, "__dict__", ()))
    # A pydantic model declares its settings: a method may change a field's value.
    changing: set[str] = set()
    if not isinstance(value, BaseModel):
        changing = _attributes_set_later(type(value))
    for name in names:
        item = getattr(value, name, None)
        if name in changing or may_be_credential(name):
            continue
        if isinstance(item, (SecretStr, SecretBytes)):
            continue
        if declared is not None or is_plain(item) or _is_runnable(item):
            yield name, item


def _declared_fields(value: Any) -> list[str] | None:
    """Return the names of the fields of a model or dataclass, `None` for any other."""
    if isinstance(value, BaseModel):
        return list(type(value).model_fields)
    if dataclasses.is_dataclass(value):
        return [item.name for item in dataclasses.fields(value)]
    return None


def _is_runnable(value: Any) -> bool:
    """Return whether a graph can run a value, or all that a collection contains."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        # An empty one may be a buffer, filled by a run.
        return bool(value) and all(map(_is_runnable, value))
    if isinstance(value, FUNCTION_TYPES) or hasattr(value, "invoke"):
        return True
    return _declared_fields(value) is not None


def _attributes_set_later(definition: type) -> set[str]:
    """Return the attributes that methods other than `__init__` store to."""
    # These are counters and caches, not settings.
    names = set()
    for base in definition.__mro__:
        for function in functions_of(base):
            if function.__name__ in _SETUP:
                continue
            for step in dis.get_instructions(inspect.unwrap(function)):
                if step.opname in _STORES:
                    names.add(str(step.argval))
    return names
