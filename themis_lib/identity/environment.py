"""Environment variables that code reads.

A name that stands where the variable is read is surely one. Where the name comes from
elsewhere (`os.environ[name]`), every text of the code that could be one counts.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_READERS = {"environ", "environb", "getenv", "getenvb"}
_EXPANDER = "expandvars"
#: What people name a variable, where nothing else says that it is one.
_CANDIDATE = re.compile(r"[A-Z][A-Z0-9_]*")
_EXPANDED = re.compile(r"\$\{?(\w+)")


@dataclass
class Variables:
    """Variables that code reads for sure, and what could be names of others.

    The candidates count if some code reads variables by a name that it does not show.
    """

    names: set[str] = field(default_factory=set)
    candidates: set[str] = field(default_factory=set)
    reads_by_name: bool = False

    def add_text(self, text: str | bytes) -> None:
        """Take a text that could be the name of a variable, or have such in it."""
        if isinstance(text, bytes):
            text = text.decode("ascii", "replace")
        if _CANDIDATE.fullmatch(text):
            self.candidates.add(text)
        self.candidates.update(_EXPANDED.findall(text))


def variables_of(nodes: Iterable[ast.AST]) -> Variables:
    """Return the variables that some code reads."""
    found = Variables()
    # Readers whose variable is shown, and those that are only written to.
    settled: set[ast.AST] = set()
    for root in nodes:
        for node in ast.walk(root):
            reader, name = _reader_and_name(node)
            if reader is not None:
                settled.add(reader)
                found.names.update(name)
            elif isinstance(node, ast.Constant):
                if isinstance(node.value, (str, bytes)):
                    found.add_text(node.value)
            elif isinstance(node, ast.ImportFrom):
                found.reads_by_name |= _renames_reader(node)
            elif node not in settled and (_is_reader(node) or _expands(node)):
                found.reads_by_name = True
    return found


def is_environment(value: Any) -> bool:
    """Return whether a value is the environment, or a function that reads it."""
    return any(value is getattr(os, name, None) for name in _READERS)


def is_reader_name(name: str) -> bool:
    """Return whether a name is one under which code is known to read the environment."""
    return name in _READERS or name == _EXPANDER


def texts_in(described: Any) -> Iterable[str]:
    """Yield the texts in the description of a value."""
    waiting = [described]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting += item


def _reader_and_name(node: ast.AST) -> tuple[ast.AST | None, list[str]]:
    """Return what reads the environment here, and the name of the variable.

    Neither if the name is not shown.
    """
    if isinstance(node, ast.Subscript) and _is_reader(node.value):
        if not isinstance(node.ctx, ast.Load):
            return node.value, []
        return _if_shown(node.value, [node.slice])
    if isinstance(node, ast.Compare) and _is_reader(node.comparators[0]):
        return _if_shown(node.comparators[0], [node.left])
    if isinstance(node, ast.Call):
        for reader in (node.func, getattr(node.func, "value", None)):
            if reader is not None and _is_reader(reader):
                return _if_shown(reader, node.args)
    return None, []


def _if_shown(
    reader: ast.AST,
    arguments: list[ast.expr],
) -> tuple[ast.AST | None, list[str]]:
    first = arguments[0] if arguments else None
    name = first.value if isinstance(first, ast.Constant) else None
    if isinstance(name, bytes):
        return reader, [name.decode("ascii", "replace")]
    return (reader, [name]) if isinstance(name, str) else (None, [])


def _is_reader(node: ast.AST) -> bool:
    """Return whether an expression is `os.environ` or the like, however imported."""
    return bool(_READERS & {getattr(node, "attr", ""), getattr(node, "id", "")})


def _expands(node: ast.AST) -> bool:
    """Return whether an expression is `os.path.expandvars`."""
    return _EXPANDER in (getattr(node, "attr", ""), getattr(node, "id", ""))


def _renames_reader(node: ast.ImportFrom) -> bool:
    return any(alias.asname and alias.name in _READERS for alias in node.names)
