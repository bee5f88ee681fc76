"""What functions hold beside their source: bytecode, defaults, enclosed variables."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

Definition = type | FunctionType
_PLAIN = (str, bytes, int, float, complex, bool, type(None))


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


def code_identity(
    code: CodeType,
    doc: str | None,
) -> list[Any]:
    """Return what a code object does, without its docstring and its lines."""
    constants = []
    for constant in code.co_consts:
        # A docstring is a constant of its function, and no code.
        is_docstring = bool(doc) and constant == doc
        if not is_docstring:
            constants.append(_constant_identity(constant))
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant_identity(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return code_identity(constant, None)
    if not isinstance(constant, (frozenset, tuple)):
        return repr(constant)
    items = [_constant_identity(item) for item in constant]
    if isinstance(constant, frozenset):
        # A set's order differs from process to process.
        items.sort(key=repr)
    return items
