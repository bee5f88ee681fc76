"""Figures of how the code reads: `python -m tools.code_shape [PATH …] [--check]
[--functions]`.

Densities are per code line: a line with a token on it that is neither a comment nor
part of a docstring. Without paths, the packages that are shipped are measured. For the
figures of another project, give its folder.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

SHIPPED = ("themis_lib", "tasks", "flows", "deployments")
#: The most ways through a function, those inside its expressions counted too. Ruff
#: allows 10 through its statements.
MOST_COMPLEX = 12
#: In lines of its body.
LONGEST_FUNCTION = 60
WIDEST_LINE = 100
#: The tokens that a line without code can hold.
_BLANK_TOKENS = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
#: Comments that are for tools, not for readers.
_PRAGMA = re.compile(r"#\s*(noqa|type:|fmt:|pragma|ruff:|mypy:|!)")
_COMPREHENSIONS = (
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (ast.Module, ast.ClassDef, *_FUNCTIONS)
_BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
)


@dataclass(frozen=True)
class Function:
    """A function: its place, the lines of its body, and the ways through it."""

    place: str
    name: str
    lines: int
    complexity: int
    used_once: bool

    def __str__(self) -> str:
        return f"{self.place} {self.name}"

    @property
    def is_private(self) -> bool:
        """Whether its name says that it is for its own module."""
        is_special = self.name.startswith("__")
        return self.name.startswith("_") and not is_special

    @property
    def is_private_and_used_once(self) -> bool:
        """Whether a private function is called from one place."""
        return self.is_private and self.used_once

    @property
    def is_one_word(self) -> bool:
        """Whether a private name is a single word."""
        word = self.name.lstrip("_")
        return self.is_private and "_" not in word

    def problems(self) -> Iterator[str]:
        """Yield what `--check` refuses about it."""
        where = f"{self.place}: {self.name}"
        if self.complexity > MOST_COMPLEX:
            yield (
                f"{where} has {self.complexity} ways through it, expressions "
                f"counted; at most {MOST_COMPLEX}"
            )
        if self.lines > LONGEST_FUNCTION:
            yield f"{where} has {self.lines} lines; split it"


@dataclass
class Shape:
    """The figures of some modules together."""

    code_lines: int = 0
    nodes: int = 0
    comments: int = 0
    comprehensions: int = 0
    wide_lines: int = 0
    largest_module: tuple[int, str] = (0, "")
    functions: list[Function] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Measure a module and add its figures."""
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        nodes = list(ast.walk(tree))
        code, comments = _code_lines(source)
        code -= _docstring_lines(nodes)
        self.code_lines += len(code)
        self.nodes += len(nodes)
        self.comments += comments
        lines = source.splitlines()
        for line in lines:
            if len(line) > WIDEST_LINE:
                self.wide_lines += 1
        size = (len(lines), str(path))
        self.largest_module = max(self.largest_module, size)
        # Uses are counted as words of the source: a decorator, a string that names the
        # function and a mention in a comment count too.
        words = Counter(re.findall(r"\w+", source))
        for node in nodes:
            if isinstance(node, _COMPREHENSIONS):
                self.comprehensions += 1
            elif isinstance(node, _FUNCTIONS):
                function = Function(
                    place=f"{path}:{node.lineno}",
                    name=node.name,
                    lines=_body_lines(node),
                    complexity=complexity(node),
                    # Its definition is the other one.
                    used_once=words[node.name] == 2,
                )
                self.functions.append(function)

    def figures(self) -> dict[str, str]:
        """Return each figure by name, as text."""
        once = [item for item in self.functions if item.is_private_and_used_once]
        one_word = [item for item in self.functions if item.is_one_word]
        longest = max(self.functions, key=attrgetter("lines"))
        most_complex = max(self.functions, key=attrgetter("complexity"))
        nodes_per_line = self.nodes / self.code_lines
        size, largest = self.largest_module
        return {
            "code lines": f"{self.code_lines}",
            "AST nodes per code line": f"{nodes_per_line:.2f}",
            "lines over 100 columns, %": self._per_100_lines(self.wide_lines),
            "comprehensions per 100 lines": self._per_100_lines(self.comprehensions),
            "comments per 100 lines": self._per_100_lines(self.comments),
            "functions": f"{len(self.functions)}",
            "private and used once, %": self._percent(once),
            "private one-word names, %": self._percent(one_word),
            "longest function": f"{longest.lines} ({longest})",
            "most ways through one": f"{most_complex.complexity} ({most_complex})",
            "largest module": f"{size} ({largest})",
        }

    def problems(self) -> list[str]:
        """Return what `--check` refuses, one line each."""
        found = []
        for function in self.functions:
            found.extend(function.problems())
        if self.wide_lines:
            found.append(f"{self.wide_lines} lines have more than 100 columns")
        return found

    def _per_100_lines(self, number: int) -> str:
        share = 100 * number / self.code_lines
        return f"{share:.2f}"

    def _percent(self, functions: list[Function]) -> str:
        share = 100 * len(functions) / len(self.functions)
        return f"{share:.1f}"


def complexity(function: ast.AST) -> int:
    """Count the ways through a function: one, and one more for each branch in it.

    Statements count as in McCabe (1976); so do conditional expressions, each further
    operand of `and` and `or`, and each `for` and `if` of a comprehension. A nested
    function counts for itself alone.
    """
    ways = 1
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        # Without their children: a nested function is measured on its own.
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            continue
        if isinstance(node, _BRANCHES):
            ways += 1
        elif isinstance(node, ast.BoolOp):
            ways += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            ways += 1 + len(node.ifs)
        children = ast.iter_child_nodes(node)
        waiting.extend(children)
    return ways


def modules(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the modules at the paths: files, and every module below a folder."""
    for path in map(Path, paths):
        if path.is_file():
            yield path
        else:
            yield from sorted(path.rglob("*.py"))


def main() -> int:
    """Print the figures, or the problems where `--check` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", default=list(SHIPPED))
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail above the limits",
    )
    parser.add_argument(
        "--functions",
        action="store_true",
        help="list one-word and used-once names",
    )
    options = parser.parse_args()
    shape = Shape()
    for path in modules(options.paths):
        shape.add(path)
    if options.check:
        return _print_problems(shape)
    if not shape.functions:
        parser.error("no functions at these paths")
    for name, figure in shape.figures().items():
        print(f"{name:30} {figure}")
    if options.functions:
        _print_functions(shape)
    return 0


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's body, without its docstring.

    Its signature does not count: with an argument a line, it is no harder to read.
    """
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    if not body:
        return 0
    first = body[0].lineno
    last = _last_line(body[-1])
    return last - first + 1


def _code_lines(source: str) -> tuple[set[int], int]:
    """Return the numbers of the lines with code, and how many comments there are."""
    code: set[int] = set()
    comments = 0
    readline = io.StringIO(source).readline
    for token in tokenize.generate_tokens(readline):
        if token.type == tokenize.COMMENT:
            if not _PRAGMA.match(token.string):
                comments += 1
        elif token.type not in _BLANK_TOKENS:
            # A string over several lines is one token.
            first, _ = token.start
            last, _ = token.end
            code.update(range(first, last + 1))
    return code, comments


def _docstring_lines(nodes: list[ast.AST]) -> set[int]:
    lines: set[int] = set()
    for node in nodes:
        if not isinstance(node, _DOCUMENTED):
            continue
        if ast.get_docstring(node) is not None:
            docstring = node.body[0]
            last = _last_line(docstring)
            lines.update(range(docstring.lineno, last + 1))
    return lines


def _last_line(statement: ast.stmt) -> int:
    # Parsed code has the end of each statement; its type says that it may be missing.
    return statement.end_lineno or statement.lineno


def _print_problems(shape: Shape) -> int:
    """Print what `--check` refuses and return the exit code."""
    problems = shape.problems()
    print("\n".join(problems) or "the code is within its limits")
    if problems:
        return 1
    return 0


def _print_functions(shape: Shape) -> None:
    for item in shape.functions:
        if item.is_private_and_used_once:
            print(f"{item.place}: {item.name} used once")
        elif item.is_one_word:
            print(f"{item.place}: {item.name}")


if __name__ == "__main__":
    sys.exit(main())
