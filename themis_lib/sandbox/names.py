"""Which names in tests are those of the code, and which are not the code's to define.

Imports nothing but the standard library: it runs in the sandbox.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Sequence
from typing import Any


def undefined_names(trees: Sequence[ast.Module]) -> set[str]:
    """Return the names that modules use, run one after another, and do not define.

    >>> sorted(undefined_names([ast.parse("n = 3"), ast.parse("assert f(n) == abs(9)")]))
    ['abs', 'f']
    """
    used: set[str] = set()
    defined: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name):
            group = used if isinstance(node.ctx, ast.Load) else defined
            group.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.alias):
            name = node.asname or node.name
            defined.add(name.partition(".")[0])
    return used - defined


def names_of_code(undefined: set[str]) -> set[str]:
    """Return the names that tests take from the code.

    A name of Python's own is not: code that defines `set` would answer for both sides
    of `set(f(2)) == {4}`. If it is the only name, it is the function under test.

    >>> sorted(names_of_code({"f", "set", "math"})), names_of_code({"sum"})
    (['f'], {'sum'})
    """
    if len(undefined) == 1:
        return undefined
    return {name for name in undefined if not _is_pythons(name)}


def standard_modules(names: set[str]) -> dict[str, Any]:
    """Return the modules of the standard library among some names.

    Published tests use `math` and others that only the code imports.
    """
    modules = {}
    for name in sorted(names & sys.stdlib_module_names):
        try:
            modules[name] = importlib.import_module(name)
        # A Python may be built without some of them.
        except ImportError:
            continue
    return modules


def _is_pythons(name: str) -> bool:
    return hasattr(builtins, name) or name in sys.stdlib_module_names
