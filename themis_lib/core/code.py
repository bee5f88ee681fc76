"""Code as identity: a component's class, without comments and docstrings, and what it names in its own module.

Only source is looked at, never the values that names hold at run time, so a counter that a component keeps does
not change what it is. A name imported from another module enters as its import statement.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from themis_lib.core.identity import digest


def code_digest(definition: type | FunctionType) -> str:
    """The digest of a class or function and of everything it names in its module.

    Falls back to bytecode where there is no source (a class typed into an interpreter).
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(definition)))
        module = sys.modules.get(definition.__module__)
        bindings = _bindings(ast.parse(inspect.getsource(module))) if module else {}
    except (OSError, TypeError, SyntaxError):
        return digest("bytecode", _bytecode(definition))
    texts = [_text(tree)]
    seen: set[str] = {definition.__name__}
    queue = sorted(_names(tree) & bindings.keys())
    while queue:
        name = queue.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for statement in bindings[name]:
            texts.append(f"{name}: {_text(statement)}")
            queue.extend(sorted(_names(statement) & bindings.keys() - seen))
    return digest("code", [texts[0], sorted(texts[1:]), _closures(definition, tree)])


def _bindings(module: ast.Module) -> dict[str, list[ast.stmt]]:
    """The statements at module level that bind each name, also inside `if` and `try`."""
    bound: dict[str, list[ast.stmt]] = {}
    for statement in _statements(module.body):
        for name in _bound_names(statement):
            bound.setdefault(name, []).append(statement)
    return bound


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, (ast.If, ast.Try, ast.With)):
            for block in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, block, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)
        else:
            yield statement


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        yield from (node.id for node in ast.walk(statement) if _is_stored(node))


def _is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _text(tree: ast.AST) -> str:
    """The source of a tree without docstrings, comments and layout."""
    return ast.unparse(_DocstringRemover().visit(ast.parse(ast.unparse(tree))))


class _DocstringRemover(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:  # noqa: N802 - named by ast
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def _closures(definition: type | FunctionType, tree: ast.AST) -> dict[str, Any]:
    """The plain values that functions of a definition close over, unless the code rebinds them."""
    rebound = {name for node in ast.walk(tree) if isinstance(node, ast.Nonlocal) for name in node.names}
    members = vars(definition).values() if isinstance(definition, type) else [definition]
    values: dict[str, Any] = {}
    for member in members:
        if not isinstance(member, FunctionType) or not member.__closure__:
            continue
        for name, cell in zip(member.__code__.co_freevars, member.__closure__, strict=True):
            if name not in rebound and _holds_plain_value(cell):
                values[name] = repr(cell.cell_contents)
    return values


def _holds_plain_value(cell: Any) -> bool:
    try:
        return isinstance(cell.cell_contents, (str, int, float, bool, type(None)))
    except ValueError:  # an empty cell
        return False


def _bytecode(definition: type | FunctionType) -> list[Any]:
    members = vars(definition).values() if isinstance(definition, type) else [definition]
    functions = [member for member in members if isinstance(member, FunctionType)]
    return [definition.__qualname__, *(_code(function.__code__, function.__doc__) for function in functions)]


def _code(code: CodeType, doc: str | None) -> list[Any]:
    constants = [
        _code(constant, None) if isinstance(constant, CodeType) else repr(constant)
        for constant in code.co_consts
        if not (doc and constant == doc)
    ]
    return [code.co_code.hex(), list(code.co_names), constants]
