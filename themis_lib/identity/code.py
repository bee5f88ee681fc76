"""Code as identity: the source of a definition, without comments and docstrings, and
of what it names in its module.

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
_BLOCKS = (ast.If, ast.For, ast.While, ast.Try, ast.With)
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(definition: Definition) -> str:
    """Return the digest of a class or function and of what it names in its module.

    Without source (a class typed into an interpreter or a notebook) it is the digest of
    the bytecode.
    """
    return _code_digest(definition, enclosing=())


def _code_digest(
    definition: Definition,
    *,
    enclosing: tuple[Any, ...],
) -> str:
    module = sys.modules.get(definition.__module__)
    try:
        module_tree = _parse_source(_module_source(module))
        tree = _tree_of(definition, module_tree)
    except (OSError, TypeError, SyntaxError):
        return digest("bytecode", bytecode_of(definition))
    bindings = _module_bindings(module_tree)
    named = _named_in_module(tree, bindings, but=definition.__name__)
    values = _captured_values(definition, tree, enclosing)
    return digest("code", [_tree_text(tree), sorted(named), values])


def _module_source(module: ModuleType | None) -> str:
    """Return the text of a module as it was at the first call since its import.

    An edit of the file changes what runs only at `importlib.reload` or in a new
    process.
    """
    if module is None:
        return ""
    spec, text = _SOURCES.get(module.__name__, (None, ""))
    # Every import, and every reload, gives a module a new spec.
    if not text or spec is not module.__spec__:
        text = inspect.getsource(module)
        _SOURCES[module.__name__] = (module.__spec__, text)
    return text


def _parse_source(source: str) -> ast.Module:
    """Return the tree of a source."""
    # Before Python 3.11.8 threads that parse at the same time share a counter, and some
    # get a `SystemError`: https://github.com/python/cpython/issues/106905.
    for _ in range(_PARSING_TRIES - 1):
        with suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def _tree_of(
    definition: Definition,
    module_tree: ast.Module,
) -> ast.AST:
    """Return the tree of a definition. Raise `OSError` if it has no source."""
    if definition.__name__ == "<lambda>":
        # Raises for a lambda without source, whose position could match another's.
        inspect.getsource(definition)
        return _lambda_in(module_tree, definition)
    candidates: list[ast.AST] = [module_tree]
    path = definition.__qualname__.replace(".<locals>", "")
    for name in path.split("."):
        inner: list[ast.AST] = []
        for candidate in candidates:
            inner += _definitions_named(name, candidate)
        candidates = inner
    if len(candidates) == 1:
        return candidates[0]
    # Defined twice under one name: the line that Python recorded tells which.
    source = inspect.getsource(definition)
    return _parse_source(textwrap.dedent(source))


def _definitions_named(
    name: str,
    tree: ast.AST,
) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS) and node.name == name:
            yield node


def _named_in_module(
    tree: ast.AST,
    bindings: dict[str, list[ast.AST]],
    *,
    but: str,
) -> list[str]:
    """Return the statements that bind what a tree names, what those name, and so on."""
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
            unseen = bindings.keys() - seen
            queue.extend(sorted(_loaded_names(statement) & unseen))
    return texts


def _module_bindings(module: ast.Module) -> dict[str, list[ast.AST]]:
    """Return the statements at module level that bind or fill each name.

    Behind a statement come the headers of the blocks around it.
    """
    bound: dict[str, list[ast.AST]] = {}
    for statement, headers in _iter_statements(module.body, ()):
        # Once a statement, in order: a set's order differs from process to process.
        for name in dict.fromkeys(_bound_names(statement)):
            bound.setdefault(name, []).extend([statement, *headers])
    return bound


def _iter_statements(
    body: list[ast.stmt],
    headers: tuple[ast.expr, ...],
) -> Iterator[tuple[ast.stmt, tuple[ast.expr, ...]]]:
    """Yield the statements of a body and of the blocks in it, with their headers."""
    for statement in body:
        if isinstance(statement, _BLOCKS):
            inner = (*headers, *_block_header(statement))
            for name in ("body", "orelse", "finalbody"):
                block = getattr(statement, name, [])
                yield from _iter_statements(block, inner)
            for handler in getattr(statement, "handlers", []):
                yield from _iter_statements(handler.body, inner)
        else:
            yield statement, headers


def _block_header(statement: ast.stmt) -> list[ast.expr]:
    """Return what decides whether, how often and with what a block runs."""
    if isinstance(statement, (ast.If, ast.While)):
        return [statement.test]
    if isinstance(statement, ast.For):
        return [statement.target, statement.iter]
    if isinstance(statement, ast.With):
        return [item.context_expr for item in statement.items]
    return []


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds or fills.

    It fills `TABLE` by `TABLE[key] = …` and by `TABLE.update(…)`.
    """
    if isinstance(statement, _DEFINITIONS):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            # `import a.b` binds `a`.
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        # Any method may change its object, and which ones do is not in the source.
        yield from _root_name(statement.value.func)
    else:
        # An assignment has several targets, an annotated or augmented one has one.
        target = getattr(statement, "target", None)
        for node in getattr(statement, "targets", [target]):
            if node is not None:
                yield from _stored_roots(node)


def _stored_roots(target: ast.AST) -> Iterator[str]:
    """Yield the variables that the target of an assignment stores to or into."""
    for node in ast.walk(target):
        # In `TABLE[key] = …` the key is loaded, and stays as it is.
        if isinstance(getattr(node, "ctx", None), ast.Store):
            yield from _root_name(node)


def _root_name(node: ast.AST) -> Iterator[str]:
    """Yield the variable that `a.b[c]` begins with, if it begins with one."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _loaded_names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _tree_text(tree: ast.AST) -> str:
    """Return the source of a tree without docstrings, comments and layout."""
    # The remover changes what it visits: it gets a tree that nothing else uses.
    copy = _parse_source(ast.unparse(tree))
    without_docstrings = _DocstringRemover().visit(copy)
    return ast.unparse(without_docstrings)


class _DocstringRemover(ast.NodeTransformer):
    """The removal of docstrings, and of any other text that is a statement."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        # A body that was only a docstring would not parse again.
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        value = node.value
        is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        return None if is_text else node


def _lambda_in(
    module: ast.Module,
    function: Definition,
) -> ast.Lambda:
    """Return the expression of a lambda, which may share its line with others.

    Raise `OSError` if it is not in the source.
    """
    code: CodeType = function.__code__  # type: ignore[union-attr]
    starts: list[tuple[Any, Any]] = []
    ends: list[tuple[Any, Any]] = []
    for line, end_line, column, end_column in code.co_positions():
        # Instructions that Python adds, such as the first, are nowhere in the source.
        if end_column:
            starts.append((line, column))
            ends.append((end_line, end_column))
    around: list[ast.Lambda] = []
    for node in ast.walk(module):
        if starts and isinstance(node, ast.Lambda):
            end = (node.body.end_lineno, node.body.end_col_offset)
            if _start_position(node.body) <= min(starts) and max(ends) <= end:
                around.append(node)
    if not around:
        raise OSError("the lambda is not in the source of its module")
    # Of nested lambdas, which all contain the code, the innermost starts last.
    return max(around, key=_start_position)


def _start_position(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _captured_values(
    definition: Definition,
    tree: ast.AST,
    enclosing: tuple[Any, ...],
) -> dict[str, Any]:
    """Return the identity of what the functions of a definition hold, by name.

    These are their defaults and what they close over, unless the code rebinds it.
    `enclosing` are the definitions whose digest is being computed.
    """
    rebound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Nonlocal):
            rebound.update(node.names)
    enclosing = (*enclosing, definition)
    values: dict[str, Any] = {}
    for function in functions_of(definition):
        # Generated, as by `dataclass`: it follows from the source of its class.
        if function.__code__.co_filename.startswith("<"):
            continue
        for name, value in captured(function):
            # A function that closes over itself would be digested without end.
            is_enclosing = any(value is item for item in enclosing)
            if name in rebound or is_enclosing:
                continue
            identity = _value_identity(value, definition.__module__, enclosing)
            if identity is not None:
                values[name] = identity
    return values


def _value_identity(
    value: Any,
    module: str,
    enclosing: tuple[Any, ...],
) -> str | None:
    """Return the identity of a captured value, `None` for one that may change.

    Functions and classes of the module are identified by their code, those of other
    modules by their name, plain values by themselves.
    """
    if is_plain(value):
        return repr(value)
    is_definition = isinstance(value, (FunctionType, type))
    if is_definition and value.__module__ == module:
        return _code_digest(value, enclosing=enclosing)
    if hasattr(value, "__qualname__"):
        # A method of a type in C, such as `str.upper`, has no module.
        return f"{getattr(value, '__module__', None)}:{value.__qualname__}"
    return None
