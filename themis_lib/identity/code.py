"""Code as identity: a component's class, without comments and docstrings, and what it
names in its module.

Only source is looked at, never the values that names hold at run time, so a counter
that a component keeps does not change what it is. Functions that share their source are
told apart by their defaults and by what they close over. A name imported from another
module enters as its import statement.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType
from typing import Any

from themis_lib.identity.bytecode import (
    Definition,
    bytecode_of,
    captured,
    functions_of,
    is_plain,
)
from themis_lib.identity.digests import digest

#: The text of each module that was digested, and the spec it was imported under.
#: Process-wide, like `sys.modules`: a digest is of the code that this process runs, even
#: when its file has been edited since.
_SOURCES: dict[str, tuple[object, str]] = {}
_PARSING_TRIES = 10


def code_digest(definition: Definition) -> str:
    """The digest of a class or function and of everything it names in its module.

    Falls back to bytecode where there is no source (a class typed into an interpreter
    or a notebook).
    """
    return _code_digest(definition, enclosing=())


def _code_digest(
    definition: Definition,
    *,
    enclosing: tuple[Any, ...],
) -> str:
    try:
        module_tree = _parse_source(
            _module_source(sys.modules.get(definition.__module__))
        )
        tree = _tree_of(definition, module_tree)
    except (OSError, TypeError, SyntaxError):
        return digest("bytecode", bytecode_of(definition))
    named = _named_in_module(
        tree, _module_bindings(module_tree), but=definition.__name__
    )
    return digest(
        "code",
        [
            _tree_text(tree),
            sorted(named),
            _captured_values(definition, tree, enclosing),
        ],
    )


def _module_source(module: ModuleType | None) -> str:
    """The text of a module as it was when it was first asked for, until the module is
    imported anew.

    What runs is what was imported: an edit of the file means nothing before
    `importlib.reload` or a new process.
    """
    if module is None:
        return ""
    spec, text = _SOURCES.get(module.__name__, (None, ""))
    if not text or spec is not module.__spec__:
        text = inspect.getsource(module)
        _SOURCES[module.__name__] = (module.__spec__, text)
    return text


def _parse_source(source: str) -> ast.Module:
    """The tree of a source.

    Threads that parse at the same time share a counter in Python before 3.11.8, and
    some of them get a `SystemError` (https://github.com/python/cpython/issues/106905);
    whoever does tries again.
    """
    for _ in range(_PARSING_TRIES - 1):
        with suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def _tree_of(
    definition: Definition,
    module_tree: ast.Module,
) -> ast.AST:
    if definition.__name__ == "<lambda>":
        inspect.getsource(definition)  # raises where there is no source
        return _lambda_in(module_tree, definition)
    nodes: list[ast.AST] = [module_tree]
    for name in definition.__qualname__.replace(".<locals>", "").split("."):
        nodes = [
            inner
            for node in nodes
            for inner in ast.walk(node)
            if isinstance(inner, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and inner.name == name
        ]
    if len(nodes) == 1:
        return nodes[0]
    return _parse_source(textwrap.dedent(inspect.getsource(definition)))


def _named_in_module(
    tree: ast.AST,
    bindings: dict[str, list[ast.AST]],
    *,
    but: str,
) -> list[str]:
    """The statements that bind what a tree names, what those name, and so on."""
    texts: list[str] = []
    seen = {but}
    queue = sorted(_loaded_names(tree) & bindings.keys())
    while queue:
        name = queue.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for statement in bindings[name]:
            texts.append(f"{name}: {_tree_text(statement)}")
            queue.extend(sorted(_loaded_names(statement) & bindings.keys() - seen))
    return texts


def _module_bindings(module: ast.Module) -> dict[str, list[ast.AST]]:
    """The statements at module level that bind or fill each name, with the headers of
    their blocks.
    """
    bound: dict[str, list[ast.AST]] = {}
    for statement, headers in _iter_statements(module.body, ()):
        for name in dict.fromkeys(_bound_names(statement)):
            bound.setdefault(name, []).extend([statement, *headers])
    return bound


def _iter_statements(
    body: list[ast.stmt],
    headers: tuple[ast.expr, ...],
) -> Iterator[tuple[ast.stmt, tuple[ast.expr, ...]]]:
    for statement in body:
        if isinstance(statement, (ast.If, ast.For, ast.While, ast.Try, ast.With)):
            inner = (*headers, *_block_header(statement))
            for block in ("body", "orelse", "finalbody"):
                yield from _iter_statements(getattr(statement, block, []), inner)
            for handler in getattr(statement, "handlers", []):
                yield from _iter_statements(handler.body, inner)
        else:
            yield statement, headers


def _block_header(statement: ast.stmt) -> list[ast.expr]:
    """What decides whether, how often and with what a block runs."""
    if isinstance(statement, (ast.If, ast.While)):
        return [statement.test]
    if isinstance(statement, ast.For):
        return [statement.target, statement.iter]
    return (
        [item.context_expr for item in statement.items]
        if isinstance(statement, ast.With)
        else []
    )


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    """The names a statement binds or fills: `TABLE = …`, `TABLE[key] = …`,
    `TABLE.update(…)`.
    """
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from (
            alias.asname or alias.name.partition(".")[0] for alias in statement.names
        )
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        yield from filter(None, [_root_name(statement.value.func)])
    else:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        nodes = [node for target in targets if target for node in ast.walk(target)]
        stored = (
            _root_name(node)
            for node in nodes
            if isinstance(getattr(node, "ctx", None), ast.Store)
        )
        yield from filter(None, stored)


def _root_name(node: ast.AST) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _loaded_names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _tree_text(tree: ast.AST) -> str:
    """The source of a tree without docstrings, comments and layout."""
    return ast.unparse(_DocstringRemover().visit(_parse_source(ast.unparse(tree))))


class _DocstringRemover(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(
            node.value.value, str
        )
        return None if is_text else node


def _lambda_in(
    module: ast.Module,
    function: Definition,
) -> ast.Lambda:
    """The expression of a lambda, which may share its line with others. Raises
    `OSError` when it is gone.
    """
    code: CodeType = function.__code__  # type: ignore[union-attr]
    positions = [place for place in code.co_positions() if place[3]]
    first = min(((line, column) for line, _, column, _ in positions), default=None)
    last = max(((line, column) for _, line, _, column in positions), default=None)
    around = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Lambda)
        and first
        and last
        and _start_position(node.body) <= first
        and last <= (node.body.end_lineno, node.body.end_col_offset)
    ]
    if not around:
        raise OSError("the lambda is not in the source of its module")
    return max(around, key=_start_position)


def _start_position(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _captured_values(
    definition: Definition,
    tree: ast.AST,
    enclosing: tuple[Any, ...],
) -> dict[str, Any]:
    """What the functions of a definition close over and their defaults, unless the code
    rebinds them.

    Functions and classes of the same module enter as code, those of other modules by
    name, plain values as they are.
    """
    rebound = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Nonlocal)
        for name in node.names
    }
    enclosing = (*enclosing, definition)
    values: dict[str, Any] = {}
    for function in functions_of(definition):
        if function.__code__.co_filename.startswith(
            "<"
        ):  # generated, as by `dataclass`
            continue
        for name, value in captured(function):
            if name in rebound or any(value is item for item in enclosing):
                continue
            if is_plain(value):
                values[name] = repr(value)
            elif (
                isinstance(value, (FunctionType, type))
                and value.__module__ == definition.__module__
            ):
                values[name] = _code_digest(value, enclosing=enclosing)
            elif hasattr(value, "__qualname__"):
                values[name] = f"{value.__module__}:{value.__qualname__}"
    return values
