"""Settings of libraries that a module makes when it is imported.

`decimal.getcontext().prec = 5` at the top of a module changes what its functions
compute, and no function names it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from themis_lib.identity.sources import module_tree, tree_text
from themis_lib.identity.user_code import is_user_module

#: Libraries whose settings change no row: where modules are found, what is reported.
_HARMLESS = {"sys", "logging", "warnings", "asyncio", "themis_lib", "pytest"}


def library_settings(module: ModuleType) -> list[str]:
    """Return the statements at the top level of a module that change a library."""
    file = getattr(module, "__file__", None)
    tree = module_tree(str(file)) if file else None
    if tree is None:
        return []
    return [
        tree_text(statement)
        for statement in _statements(tree.body)
        if _sets_library(statement, vars(module))
    ]


def _statements(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return the simple statements of a module, those in its blocks included."""
    found: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, (ast.If, ast.For, ast.While, ast.Try, ast.With)):
            if _is_main_guard(statement):
                continue
            for block in ("body", "orelse", "finalbody"):
                found += _statements(getattr(statement, block, []))
            for handler in getattr(statement, "handlers", []):
                found += _statements(handler.body)
        else:
            found.append(statement)
    return found


def _is_main_guard(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.If):
        return False
    return "__name__" in {
        node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)
    }


def _sets_library(statement: ast.stmt, names: Mapping[str, Any]) -> bool:
    """Return whether a statement changes a library, such as a context or a locale."""
    target = _changed_thing(statement)
    while isinstance(target, (ast.Attribute, ast.Subscript, ast.Call)):
        target = target.func if isinstance(target, ast.Call) else target.value
    if not isinstance(target, ast.Name):
        return False
    module = _module_of(names.get(target.id))
    top = module.partition(".")[0]
    return bool(top) and top not in _HARMLESS and not is_user_module(module)


def _changed_thing(statement: ast.stmt) -> ast.expr | None:
    """Return what a statement calls, or the attribute or item that it assigns to."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return statement.value.func
    target: ast.expr | None = None
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, ast.AugAssign):
        target = statement.target
    return None if isinstance(target, ast.Name) else target


def _module_of(value: Any) -> str:
    """Return the module that a value is, or that it was defined in."""
    if isinstance(value, ModuleType):
        return value.__name__
    if callable(value):
        return str(getattr(value, "__module__", None) or "")
    return ""
