"""A function's source is the text that its code was compiled from."""

from __future__ import annotations

import ast
import linecache

import pytest

from themis_lib.identity.sources import module_tree, node_of, tree_text


def test_lambdas_of_one_line_are_told_apart() -> None:
    """Each has its own node."""
    one, other = lambda v: v + 1, lambda v: v + 2
    nodes = [node_of(item.__code__) for item in (one, other)]

    assert ["lambda v: v + 1", "lambda v: v + 2"] == [
        ast.unparse(node) for node in nodes if node is not None
    ]


def test_cell_of_a_notebook_has_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text in `linecache` is no file; another text is not its source."""
    text, names = "def f(v):\n    return v\n", {}  # type: tuple[str, dict[str, Any]]
    monkeypatch.setitem(
        linecache.cache,
        "<cell-of-test>",
        (len(text), None, [*text.splitlines(True)], ""),
    )
    exec(compile(text, "<cell-of-test>", "exec", dont_inherit=True), names)
    other = compile("def f(v):\n    return 2", "<cell-of-test>", "exec").co_consts[0]

    assert node_of(names["f"].__code__) is not None
    assert node_of(other) is None
    assert module_tree("<no such text>") is None


def test_text_of_a_tree_has_no_docstrings() -> None:
    """A body of a docstring alone becomes `pass`."""
    tree = ast.parse("def f():\n    'Doc.'  # comment\n")

    assert "def f():\n    pass" == tree_text(tree)
