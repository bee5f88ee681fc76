"""Measure how the code reads: `python -m tools.code_shape [PATH …] [--check]
[--functions]`.

Densities are per code line: a line with a token on it that is neither a comment nor
part of a docstring. Without paths, the packages that are shipped are measured. The
same figures of another project: give its folder.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SHIPPED = ("themis_lib", "tasks", "flows", "deployments")
#: The most ways through a function, those inside its expressions counted too. Ruff
#: holds those of its statements to 10.
MOST_COMPLEX = 15
LONGEST_FUNCTION = 70
WIDEST_LINE = 100
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
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
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
    """One function: where it is, the lines of its body, and the ways through it."""

    place: str
    name: str
    lines: int
    complexity: int
    used_once: bool

    @property
    def is_private(self) -> bool:
        """Whether its name says that it is for its own module."""
        return self.name.startswith("_") and not self.name.startswith("__")

    @property
    def is_one_word(self) -> bool:
        """Whether a private name is a single word."""
        return self.is_private and "_" not in self.name.lstrip("_")


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
        self.code_lines += len(code - _docstring_lines(nodes))
        self.nodes += len(nodes)
        self.comments += comments
        self.comprehensions += sum(isinstance(node, _COMPREHENSIONS) for node in nodes)
        lines = source.splitlines()
        self.wide_lines += sum(len(line) > WIDEST_LINE for line in lines)
        self.largest_module = max(self.largest_module, (len(lines), str(path)))
        words = Counter(re.findall(r"\w+", source))
        for node in nodes:
            if isinstance(node, _FUNCTIONS):
                self.functions.append(_function(node, path, words))

    def figures(self) -> dict[str, str]:
        """Each figure by name, as text."""
        once = [item for item in self.functions if item.is_private and item.used_once]
        one_word = [item for item in self.functions if item.is_one_word]
        longest = max(self.functions, key=lambda item: item.lines)
        most_complex = max(self.functions, key=lambda item: item.complexity)
        count = len(self.functions)
        return {
            "code lines": f"{self.code_lines}",
            "AST nodes per code line": f"{self.nodes / self.code_lines:.2f}",
            "lines over 100 columns, %": f"{self._share(self.wide_lines):.2f}",
            "comprehensions per 100 lines": f"{self._share(self.comprehensions):.2f}",
            "comments per 100 lines": f"{self._share(self.comments):.2f}",
            "functions": f"{count}",
            "private and used once, %": f"{100 * len(once) / count:.1f}",
            "private one-word names, %": f"{100 * len(one_word) / count:.1f}",
            "longest function": f"{longest.lines} ({longest.place} {longest.name})",
            "most ways through one": (
                f"{most_complex.complexity} ({most_complex.place} {most_complex.name})"
            ),
            "largest module": f"{self.largest_module[0]} ({self.largest_module[1]})",
        }

    def problems(self) -> list[str]:
        """What `--check` refuses, one line each."""
        found = []
        for item in self.functions:
            where = f"{item.place}: {item.name}"
            if item.complexity > MOST_COMPLEX:
                found.append(
                    f"{where} has {item.complexity} ways through it, expressions "
                    f"counted; at most {MOST_COMPLEX}"
                )
            if item.lines > LONGEST_FUNCTION:
                found.append(f"{where} has {item.lines} lines; split it")
        if self.wide_lines:
            found.append(f"{self.wide_lines} lines have more than 100 columns")
        return found

    def _share(self, number: int) -> float:
        return 100 * number / self.code_lines


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
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            continue
        if isinstance(node, _BRANCHES):
            ways += 1
        elif isinstance(node, ast.BoolOp):
            ways += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            ways += 1 + len(node.ifs)
        waiting.extend(ast.iter_child_nodes(node))
    return ways


def _function(
    node: ast.AST,
    path: Path,
    words: Counter[str],
) -> Function:
    assert isinstance(node, _FUNCTIONS)
    body = node.body
    if ast.get_docstring(node) is not None:
        body = body[1:]
    # The body alone: a signature with an argument a line is no harder to read.
    lines = 0
    if body:
        lines = (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1
    return Function(
        place=f"{path}:{node.lineno}",
        name=node.name,
        lines=lines,
        complexity=complexity(node),
        used_once=words[node.name] == 2,
    )


def _code_lines(source: str) -> tuple[set[int], int]:
    """Return the numbers of the lines with code, and how many comments there are."""
    code: set[int] = set()
    comments = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments += not _PRAGMA.match(token.string)
        elif token.type not in _BLANK_TOKENS:
            code.update(range(token.start[0], token.end[0] + 1))
    return code, comments


def _docstring_lines(nodes: list[ast.AST]) -> set[int]:
    lines: set[int] = set()
    for node in nodes:
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            first = node.body[0]
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def modules(paths: list[str]) -> Iterator[Path]:
    """Yield the modules at the paths: files, and every module below a folder."""
    for path in map(Path, paths):
        if path.is_file():
            yield path
        else:
            yield from sorted(path.rglob("*.py"))


def main() -> int:
    """Print the figures, or the problems where `--check` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "paths",
        nargs="*",
        default=list(SHIPPED),
    )
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
        problems = shape.problems()
        print("\n".join(problems) or "the code is within its limits")
        return 1 if problems else 0
    for name, figure in shape.figures().items():
        print(f"{name:30} {figure}")
    if options.functions:
        for item in shape.functions:
            if item.is_one_word or (item.is_private and item.used_once):
                uses = "used once" if item.used_once else ""
                print(f"{item.place}: {item.name} {uses}".rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
