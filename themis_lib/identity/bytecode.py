"""Definitions without source, as in notebooks: their bytecode, and that of what they
name in their module.
"""

from __future__ import annotations

import dis
import functools
import re
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

Definition = type | FunctionType
_PLAIN = (str, bytes, int, float, complex, bool, type(None))
_STORES = ("STORE_GLOBAL", "STORE_ATTR", "STORE_DEREF")


def bytecode_of(definition: Definition) -> list[Any]:
    """A definition's bytecode, and every function, class and plain value of its module
    that it names.

    Left out are names that the code itself stores to (a counter) and what lists,
    mappings and objects hold.
    """
    found: dict[str, Any] = {}
    queue: list[tuple[str, Any]] = [(definition.__qualname__, definition)]
    stored: set[str] = set()
    while queue:
        name, item = queue.pop()
        if name in found:
            continue
        if is_plain(item):
            found[name] = repr(item)
            continue
        functions = list(functions_of(item))
        found[name] = [
            _code_identity(function.__code__, function.__doc__)
            for function in functions
        ]
        for function in functions:
            stored |= {
                name
                for code in _nested_codes(function.__code__)
                for name in _stored_names(code)
            }
        queue.extend(_named_values(item, functions, module=definition.__module__))
    return sorted(
        [name, what] for name, what in found.items() if not _is_stored(name, stored)
    )


def functions_of(definition: Definition) -> Iterator[FunctionType]:
    """A function itself; of a class its methods, properties and static methods."""
    for member in (
        vars(definition).values() if isinstance(definition, type) else [definition]
    ):
        if isinstance(member, property):
            accessors = [member.fget, member.fset, member.fdel]
        elif isinstance(member, functools.cached_property):
            accessors = [member.func]
        else:
            accessors = [getattr(member, "__func__", member)]
        yield from (item for item in accessors if isinstance(item, FunctionType))


def captured(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function holds beside its code, by name: its defaults and what it closes
    over.
    """
    code, defaults = function.__code__, function.__defaults__ or ()
    arguments = code.co_varnames[: code.co_argcount]
    yield from zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # an empty cell
            continue


def is_plain(value: Any) -> bool:
    """Whether a value is text, a number, null, or a tuple of these: it cannot change
    and `repr` tells all.
    """
    return isinstance(value, _PLAIN) or (
        type(value) is tuple and all(map(is_plain, value))
    )


def _is_stored(
    name: str,
    stored: set[str],
) -> bool:
    where, _, attribute = name.rpartition(" ")
    return bool(where) and attribute in stored


def _named_values(
    item: Definition,
    functions: list[FunctionType],
    *,
    module: str,
) -> Iterator[tuple[str, Any]]:
    """What a definition names: its bases and attributes, its functions' globals and
    captured values.
    """
    values: list[tuple[str, Any]] = []
    if isinstance(item, type):
        values += [(base.__qualname__, base) for base in item.__mro__[1:]]
        values += [
            (f"{item.__qualname__} {name}", value)
            for name, value in vars(item).items()
            if not name.startswith("__")
        ]
    for function in functions:
        values += [
            (f"{function.__qualname__} {name}", value)
            for name, value in captured(function)
        ]
        names = {
            name for code in _nested_codes(function.__code__) for name in code.co_names
        }
        values += [
            (f"global {name}", function.__globals__[name])
            for name in sorted(names & function.__globals__.keys())
        ]
    for name, value in values:
        if is_plain(value):
            yield name, value
        elif isinstance(value, re.Pattern):
            yield name, (value.pattern, value.flags)
        elif isinstance(value, (FunctionType, type)) and value.__module__ == module:
            yield value.__qualname__, value


def _nested_codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested_codes(constant)


def _stored_names(code: CodeType) -> Iterator[str]:
    return (
        step.argval for step in dis.get_instructions(code) if step.opname in _STORES
    )


def _code_identity(
    code: CodeType,
    doc: str | None,
) -> list[Any]:
    constants = [
        _constant_identity(constant)
        for constant in code.co_consts
        if not (doc and constant == doc)
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant_identity(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return _code_identity(constant, None)
    if isinstance(
        constant, (frozenset, tuple)
    ):  # a set's order differs from process to process
        items = [_constant_identity(item) for item in constant]
        return sorted(items, key=repr) if isinstance(constant, frozenset) else items
    return repr(constant)
