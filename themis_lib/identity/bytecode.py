"""The identity of definitions without source, as in notebooks: their bytecode, and that
of what they name in their module.
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
    """Return the bytecode of a definition and of what it names in its module, by name.

    What it names are functions, classes and plain values, and what these name in turn.
    Left out are names that the code itself stores to (a counter) and what lists,
    mappings and objects hold.
    """
    found: dict[str, Any] = {}
    stored: set[str] = set()
    queue: list[tuple[str, Any]] = [(definition.__qualname__, definition)]
    while queue:
        name, item = queue.pop()
        # Recursive functions name themselves.
        if name in found:
            continue
        if is_plain(item):
            found[name] = repr(item)
            continue
        functions = list(functions_of(item))
        codes = []
        for function in functions:
            codes.append(_code_identity(function.__code__, function.__doc__))
            stored.update(_stored_names(function.__code__))
        found[name] = codes
        queue.extend(_named_values(item, functions, module=definition.__module__))
    # Only now are all stores known: a counter may be found before the code that counts.
    kept = []
    for name, what in found.items():
        if not _is_stored(name, stored):
            kept.append([name, what])
    return sorted(kept)


def functions_of(definition: Definition) -> Iterator[FunctionType]:
    """Yield a function itself; of a class its methods, properties and static methods."""
    members: list[Any] = [definition]
    if isinstance(definition, type):
        members = list(vars(definition).values())
    for member in members:
        if isinstance(member, property):
            accessors = [member.fget, member.fset, member.fdel]
        elif isinstance(member, functools.cached_property):
            accessors = [member.func]
        else:
            # Class and static methods wrap their function.
            accessors = [getattr(member, "__func__", member)]
        for accessor in accessors:
            if isinstance(accessor, FunctionType):
                yield accessor


def captured(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield by name what a function holds beside its code: its defaults and what it
    closes over.
    """
    code = function.__code__
    defaults = function.__defaults__ or ()
    # Defaults belong to the last of the positional arguments.
    positional = code.co_varnames[: code.co_argcount]
    with_default = positional[len(positional) - len(defaults) :]
    yield from zip(with_default, defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            # The cell is empty until the function around assigns the variable.
            continue


def is_plain(value: Any) -> bool:
    """Return whether a value is text, a number, `None`, or a tuple of these.

    Such a value cannot change, and its `repr` is all of it.
    """
    if isinstance(value, _PLAIN):
        return True
    # A named tuple is a tuple, too, but its class may write any `repr`.
    return type(value) is tuple and all(map(is_plain, value))


def _is_stored(
    name: str,
    stored: set[str],
) -> bool:
    # "global CALLS" and "Component calls" are variables; definitions have no space.
    where, _, attribute = name.rpartition(" ")
    return bool(where) and attribute in stored


def _named_values(
    item: Definition,
    functions: list[FunctionType],
    *,
    module: str,
) -> Iterator[tuple[str, Any]]:
    """Yield what a definition names that has an identity without source, by name.

    These are plain values, and the functions and classes of its own module.
    """
    for name, value in _held_values(item, functions):
        if is_plain(value):
            yield name, value
        elif isinstance(value, re.Pattern):
            # Its `repr` would cut a long pattern.
            yield name, (value.pattern, value.flags)
        elif isinstance(value, (FunctionType, type)) and value.__module__ == module:
            yield value.__qualname__, value


def _held_values(
    item: Definition,
    functions: list[FunctionType],
) -> Iterator[tuple[str, Any]]:
    """Yield a class's bases and attributes, and its functions' globals and captured
    values.
    """
    if isinstance(item, type):
        for base in item.__mro__[1:]:
            yield base.__qualname__, base
        for name, value in vars(item).items():
            if not name.startswith("__"):
                yield f"{item.__qualname__} {name}", value
    for function in functions:
        for name, value in captured(function):
            yield f"{function.__qualname__} {name}", value
        named: set[str] = set()
        for code in _nested_codes(function.__code__):
            named.update(code.co_names)
        # Sorted: a set's order differs from process to process.
        for name in sorted(named & function.__globals__.keys()):
            yield f"global {name}", function.__globals__[name]


def _nested_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested_codes(constant)


def _stored_names(code: CodeType) -> Iterator[str]:
    """Yield the globals, attributes and enclosed variables that code assigns."""
    for nested in _nested_codes(code):
        for step in dis.get_instructions(nested):
            if step.opname in _STORES:
                yield step.argval


def _code_identity(
    code: CodeType,
    doc: str | None,
) -> list[Any]:
    constants = []
    for constant in code.co_consts:
        # A docstring is a constant of its function, and no code.
        is_docstring = bool(doc) and constant == doc
        if not is_docstring:
            constants.append(_constant_identity(constant))
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant_identity(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return _code_identity(constant, None)
    if not isinstance(constant, (frozenset, tuple)):
        return repr(constant)
    items = [_constant_identity(item) for item in constant]
    if isinstance(constant, frozenset):
        # A set's order differs from process to process.
        items.sort(key=repr)
    return items
