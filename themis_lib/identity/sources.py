"""Sources of running code: the syntax tree of a function, if its text is still there.

What runs is what was imported. A text counts as a function's source only if it compiles
to the very code that runs: an edit of the file after its import is not seen, and code
that something else wrote (pytest rewrites `assert`) has no source.
"""

from __future__ import annotations

import ast
import copy
import linecache
import threading
from contextlib import suppress
from pathlib import Path
from types import CodeType

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_NAMED_NODES = (ast.FunctionDef, ast.AsyncFunctionDef)
_PARSING_TRIES = 10


class _Source:
    """A source text, and the node that each code object in it was compiled from."""

    def __init__(self, text: str, filename: str) -> None:
        self.text = text
        self.tree = parse(text)
        compiled = compile(text, filename, "exec", dont_inherit=True)
        codes = [code for code in nested_codes(compiled) if code is not compiled]
        self.nodes: dict[CodeType, FunctionNode] = _match(self.tree, codes)


# Process-wide: the texts of the code that this process runs, by file name. A text is
# dropped once code of that file does not match it, as after `importlib.reload`.
_SOURCES: dict[str, _Source | None] = {}
_LOCK = threading.Lock()


def node_of(code: CodeType) -> FunctionNode | None:
    """Return the syntax tree that a function's code was compiled from, or `None`."""
    source = _source(code.co_filename)
    if source is not None and code in source.nodes:
        return source.nodes[code]
    # The module may have been imported anew since its text was read.
    source = _source(code.co_filename, anew=True)
    return None if source is None else source.nodes.get(code)


def module_tree(filename: str) -> ast.Module | None:
    """Return the syntax tree of a whole file, or `None` if there is no text."""
    # The file may have been edited since, and its module imported anew.
    source = _source(filename, anew=True)
    return None if source is None else source.tree


def neighbours(filename: str) -> list[tuple[Path, ast.Module]]:
    """Return the modules in a file's folder and in the packages below it."""
    found = []
    for path in sorted(_python_files(Path(filename).parent)):
        tree = module_tree(str(path))
        if tree is not None:
            found.append((path, tree))
    return found


def tree_text(tree: ast.AST) -> str:
    """Return the source of a tree without docstrings, comments and layout."""
    return ast.unparse(_DocstringRemover().visit(parse(ast.unparse(tree))))


def without_defaults(node: FunctionNode) -> FunctionNode:
    """Return a function without its default values, which it holds as values."""
    # Functions that differ in their defaults alone have equal code.
    # The node itself is shared, and stays as it is.
    bare = copy.copy(node)
    bare.args = copy.copy(node.args)
    ellipsis = ast.Constant(...)
    bare.args.defaults = [ellipsis for _ in node.args.defaults]
    bare.args.kw_defaults = [item and ellipsis for item in node.args.kw_defaults]
    return bare


def parse(text: str) -> ast.Module:
    """Return the tree of a source text. Raise `SyntaxError` if it is not Python.

    Threads that parse at the same time share a counter in Python before 3.11.8, and
    some get a `SystemError` (https://github.com/python/cpython/issues/106905): they
    try again.
    """
    for _ in range(_PARSING_TRIES - 1):
        with suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)


def nested_codes(code: CodeType) -> list[CodeType]:
    """Return a code object and all those nested in it."""
    found = [code]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += nested_codes(constant)
    return found


def _python_files(folder: Path) -> list[Path]:
    found = list(folder.glob("*.py"))
    for init in folder.glob("*/__init__.py"):
        found += init.parent.rglob("*.py")
    return found


def _source(filename: str, *, anew: bool = False) -> _Source | None:
    with _LOCK:
        known = _SOURCES.get(filename)
        if filename in _SOURCES and not anew:
            return known
        # `linecache` also knows the cells of a notebook, which are in no file.
        linecache.checkcache(filename)
        text = "".join(linecache.getlines(filename))
        if known is not None and known.text == text:
            return known
        source = None
        if text:
            with suppress(SyntaxError, ValueError):
                source = _Source(text, filename)
        _SOURCES[filename] = source
        return source


def _match(
    tree: ast.Module,
    codes: list[CodeType],
) -> dict[CodeType, FunctionNode]:
    """Return the node of each function and lambda by its code."""
    named: dict[tuple[str, int], ast.FunctionDef | ast.AsyncFunctionDef] = {}
    lambdas: list[ast.Lambda] = []
    for node in ast.walk(tree):
        if isinstance(node, _NAMED_NODES):
            # The code of a decorated function begins at its first decorator.
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            named[node.name, first] = node
        elif isinstance(node, ast.Lambda):
            lambdas.append(node)
    found: dict[CodeType, FunctionNode] = {}
    for code in codes:
        node_found: FunctionNode | None
        if code.co_name == "<lambda>":
            node_found = _lambda_of(code, lambdas)
        else:
            node_found = named.get((code.co_name, code.co_firstlineno))
        if node_found is not None:
            found[code] = node_found
    return found


def _lambda_of(
    code: CodeType,
    lambdas: list[ast.Lambda],
) -> ast.Lambda | None:
    """Return the lambda that a code was compiled from; several may share a line."""
    places = [place for place in code.co_positions() if place[3]]
    first = min(((line, column) for line, _, column, _ in places), default=None)
    last = max(((line, column) for _, line, _, column in places), default=None)
    if first is None or last is None:
        return None
    around = []
    for node in lambdas:
        ends = (node.body.end_lineno, node.body.end_col_offset)
        if _start(node.body) <= first and last <= ends:
            around.append(node)
    return max(around, key=_start, default=None)


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


class _DocstringRemover(ast.NodeTransformer):
    """Takes out every text that is a statement of its own."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        value = node.value
        is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        return None if is_text else node
