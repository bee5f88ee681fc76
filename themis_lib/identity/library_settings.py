"""Settings of libraries that a module makes when it is imported.

`decimal.getcontext().prec = 5` at the top of a module changes what its functions
compute, and no function names it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from themis_lib.identity.sources import module_tree
from themis_lib.identity.user_code import is_user_class, is_user_code, is_user_module

#: Libraries whose settings change no row: where modules are found, what is reported.
_HARMLESS = {"sys", "logging", "warnings", "asyncio", "themis_lib", "pytest"}

_BLOCKS = (
    ast.ClassDef,
    ast.ExceptHandler,
    ast.For,
    ast.If,
    ast.Match,
    ast.Try,
    ast.While,
    ast.With,
    ast.match_case,
)


def library_settings(module: ModuleType) -> list[ast.stmt]:
    """Return the statements at the top level of a module that may change a library.

    A call of a user's function may: its result is not kept, so it is made for an effect.
    """
    file = getattr(module, "__file__", None)
    tree = module_tree(str(file)) if file else None
    if tree is None:
        return []
    names = vars(module)
    return [
        statement
        for statement in tree.body
        # A block decides whether, and with what, the statements in it run.
        if any(_sets_library(item, names) for item in _statements([statement]))
    ]


def _statements(body: Iterable[ast.AST]) -> list[ast.stmt]:
    """Return the simple statements of a module, those in its blocks included."""
    found: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(statement, _BLOCKS):
            if not _is_main_guard(statement):
                found += _statements(ast.iter_child_nodes(statement))
        elif isinstance(statement, ast.stmt):
            found.append(statement)
    return found


def _is_main_guard(statement: ast.AST) -> bool:
    if not isinstance(statement, ast.If):
        return False
    return "__name__" in {
        node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)
    }


def _sets_library(statement: ast.stmt, names: Mapping[str, Any]) -> bool:
    """Return whether a statement changes a library, such as a context or a locale."""
    for target in _changed_things(statement):
        while isinstance(target, (ast.Attribute, ast.Subscript, ast.Call)):
            target = target.func if isinstance(target, ast.Call) else target.value
        if not isinstance(target, ast.Name):
            continue
        value = names.get(target.id)
        if isinstance(value, FunctionType) and is_user_code(
            value.__code__, str(value.__globals__.get("__name__", ""))
        ):
            return True
        module = _module_of(value)
        top = module.partition(".")[0]
        if top and top not in _HARMLESS and not is_user_module(module):
            return True
    return False


def _changed_things(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield what a statement calls, and the attributes and items that it changes."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        yield statement.value.func
    elif isinstance(statement, (ast.Assign, ast.Delete)):
        targets = statement.targets
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        targets = [statement.target]
    for target in targets:
        for item in ast.walk(target):
            is_change = isinstance(getattr(item, "ctx", None), (ast.Store, ast.Del))
            if is_change and isinstance(item, (ast.Attribute, ast.Subscript)):
                yield item


def _module_of(value: Any) -> str:
    """Return the module that a value is, or that it or its class was defined in."""
    if isinstance(value, ModuleType):
        return value.__name__
    if callable(value):
        return str(getattr(value, "__module__", None) or "")
    kind = type(value)
    # What changes a collection is seen in its value.
    is_data = kind.__module__ in ("builtins", "collections") or is_user_class(kind)
    return "" if is_data else str(kind.__module__)
