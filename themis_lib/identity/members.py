"""What a class holds that its author wrote."""

from __future__ import annotations

import abc
import ast
import dataclasses
import enum
import functools
import inspect
import re
import sys
from collections.abc import Iterator
from types import (
    DynamicClassAttribute,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
)
from typing import Any

from themis_lib.identity.sources import module_tree
from themis_lib.identity.user_code import is_user_class, is_user_code

#: What `class` statements and decorators of the standard library add to a class.
_ADDED = {
    "model_computed_fields",
    "model_fields",
    "__class_vars__",
    "__dataclass_fields__",
    "__private_attributes__",
    "__abstractmethods__",
    "__annotate__",
    "__annotations__",
    "__annotate_func__",
    "__annotations_cache__",
    "__dataclass_params__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__match_args__",
    "__module__",
    "__non_callable_proto_members__",
    "__parameters__",
    "__protocol_attrs__",
    "__qualname__",
    "__signature__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
    "_is_protocol",
    "_is_runtime_protocol",
}
#: What every member of an enum holds beside its value.
_OF_MEMBERS = {
    "_inverted_",
    "_name_",
    "_sort_order_",
    "_value_",
    "__objclass__",
}
#: Methods that `dataclass` generates from the fields, which are described themselves.
_GENERATED = {
    "__delattr__",
    "__eq__",
    "__ge__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__le__",
    "__lt__",
    "__replace__",
    "__repr__",
    "__setattr__",
    "__setstate__",
}
#: What a field of a pydantic model declares and is described apart.
_DESCRIBED = {"annotation", "default", "default_factory", "metadata"}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def members_of(kind: type) -> list[tuple[str, Any]]:
    """Return what a class holds, by name, without what was generated for it.

    The fields of a dataclass or a pydantic model are described with their defaults.
    """
    if issubclass(kind, enum.Enum):
        return list(_enum_members(kind))
    found: list[tuple[str, Any]] = []
    for name, value in kind.__dict__.items():
        is_added = name in _ADDED or name.startswith("__pydantic")
        if not is_added and not _is_generated(kind, name, value):
            found.append((name, value))
    return [*found, *_fields(kind), *_registered(kind)]


def annotations_of(kind: type) -> list[list[str]]:
    """Return the annotations of a class by name, as text."""
    described = []
    for name, item in inspect.get_annotations(kind).items():
        text = item if isinstance(item, str) else _ADDRESS.sub("", repr(item))
        described.append([name, text])
    return described


def annotated_names(kind: type) -> Iterator[str]:
    """Yield the names that annotations kept as text refer to."""
    for item in inspect.get_annotations(kind).values():
        if not isinstance(item, str):
            continue
        try:
            tree = ast.parse(item, mode="eval")
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                yield node.id


def library_class(kind: type) -> list[str]:
    """Return what stands for a class of a library: its name, and a declared version."""
    named = [f"{kind.__module__}.{kind.__qualname__}"]
    # A component of this library: its declared version stands for its code.
    if kind.__module__.startswith("themis_lib.") and "version" in kind.__dict__:
        named.append(str(kind.__dict__["version"]))
    return named


def patched_members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the functions of user code that were put on a class of a library."""
    for name, value in kind.__dict__.items():
        function = getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            module = str(function.__globals__.get("__name__", ""))
            if is_user_code(function.__code__, module):
                yield name, value


def place_of_class(kind: type) -> str:
    """Return the file and line of a class, by its first method; else its file."""
    lines = [
        value.__code__.co_firstlineno
        for value in kind.__dict__.values()
        if isinstance(value, FunctionType)
        and not value.__code__.co_filename.startswith("<")
    ]
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None) or kind.__module__
    tree = module_tree(str(file))
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return f"{file}:{node.lineno}"
    return f"{file}:{min(lines, default=1)}"


def _is_generated(kind: type, name: str, value: Any) -> bool:
    """Return whether a member was generated from fields or slots, not written."""
    if isinstance(value, (MemberDescriptorType, GetSetDescriptorType)):
        return True
    if type(value).__name__ == "_tuplegetter":
        return True
    if name not in _GENERATED:
        return False
    if value is None:
        # `__hash__` of a class that defines `__eq__`.
        return True
    module = sys.modules.get(kind.__module__)
    is_in_file = getattr(module, "__file__", None) is not None
    is_dataclass = "__dataclass_fields__" in kind.__dict__
    if not (is_dataclass and is_in_file and isinstance(value, FunctionType)):
        return False
    code = value.__code__
    return code.co_filename.startswith("<") or not is_user_code(code, kind.__module__)


def _fields(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a dataclass or a pydantic model, with all that they declare."""
    for name, item in (kind.__dict__.get("__dataclass_fields__") or {}).items():
        yield (
            f"{name} (field)",
            [_declared(item.default), _declared(item.default_factory)],
        )
        flags = [item.init, item.repr, item.hash, item.compare, item.kw_only]
        yield f"{name} (flags)", [*flags, dict(item.metadata)]
    yield from _model_fields(kind)
    parameters = kind.__dict__.get("__dataclass_params__")
    if parameters is not None:
        yield "dataclass parameters", repr(parameters)


def _model_fields(kind: type) -> Iterator[tuple[str, Any]]:
    for name, item in (kind.__dict__.get("__pydantic_fields__") or {}).items():
        yield f"{name} (field)", [item.annotation, list(item.metadata)]
        declared = {
            key: getattr(item, key, None)
            for key in sorted(item._attributes_set)
            if key not in _DESCRIBED and not key.startswith("validation")
        }
        yield f"{name} (names)", [str(item.validation_alias), declared]
        if item.default_factory is not None:
            yield f"{name} (default_factory)", item.default_factory
        elif not item.is_required():
            yield f"{name} (default)", item.default
    for name, item in (kind.__dict__.get("__private_attributes__") or {}).items():
        yield f"{name} (private)", [item.default, item.default_factory]


def _declared(default: Any) -> Any:
    return "missing" if default is dataclasses.MISSING else [default]


def _registered(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the classes that were registered with an abstract class."""
    if "_abc_impl" not in kind.__dict__:
        return
    registry = abc._get_dump(kind)[0]  # type: ignore[attr-defined]
    classes = [reference() for reference in registry]
    if classes:
        yield "registered", {item for item in classes if item is not None}


def _enum_members(kind: type[enum.Enum]) -> Iterator[tuple[str, Any]]:
    yield "order of members", list(kind.__members__)
    for name, member in kind.__members__.items():
        yield name, member.value
        held = {
            key: value
            for key, value in sorted(getattr(member, "__dict__", {}).items())
            if key not in _OF_MEMBERS and not _is_cached(kind, key)
        }
        if held:
            yield f"{name} (attributes)", held
    for name, value in kind.__dict__.items():
        if isinstance(value, DynamicClassAttribute):
            value = value.fget
        if name not in kind.__members__ and _is_written(kind, name, value):
            yield name, value


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), functools.cached_property)


def _is_written(kind: type, name: str, value: Any) -> bool:
    """Return whether a user wrote an attribute of an enum that is not a member."""
    function = getattr(value, "fget", getattr(value, "__func__", value))
    if isinstance(function, FunctionType):
        is_user = is_user_code(function.__code__, str(function.__module__))
        return is_user and is_user_class(kind)
    is_special = name.startswith("_") and name.endswith("_") and name != "_boundary_"
    return value is not None and not is_special
