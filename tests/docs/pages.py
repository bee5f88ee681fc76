"""Pages of the documentation, as the blocks that the tests run.

The rules, from top to bottom of a page:

- `python` runs; a `text` block right behind it is its standard output.
- `console`: lines that begin with `$ ` are run by bash, and the lines below each are
  what it prints. A last line `(exit code N)` is part of what is expected.
- A block with `title="NAME"` is written to that file, and not run.
- `yaml` that looks like an experiment, or a part of one, has to compile.
- `<!-- run: COMMAND -->` is run without being shown.
- `<!-- refused -->` says that the experiment below it must not compile.
- `<!-- not run: REASON -->` leaves out the block below it.
- `<!-- provider -->` gives the page a server that speaks OpenAI's API.
- `<!-- slow -->` moves a page without commands to the slow tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_COMMENT = re.compile(r"^\s*<!-- (run|not run|refused)(?:: (.+))? -->\s*$")
_EXIT_CODE = re.compile(r"^\(exit code (\d+)\)$")
#: Languages that only show something. `bash` and `sh` would be commands that nobody runs.
SHOWN_ONLY = frozenset(
    [
        "csv",
        "dockerfile",
        "html",
        "ini",
        "json",
        "jsonl",
        "latex",
        "markdown",
        "mermaid",
        "pycon",
        "sql",
        "text",
        "toml",
        "xml",
    ]
)

Kind = Literal["python", "console", "setup", "file", "experiment"]


class PageError(ValueError):
    """A page that breaks the rules above."""


@dataclass(frozen=True)
class Shown:
    """An output that a page shows: the lines `start` to `stop`, counted from 0."""

    lines: tuple[str, ...]
    start: int
    stop: int
    indent: str


@dataclass(frozen=True)
class Command:
    """A command of a console block, with what the page says that it prints."""

    text: str
    line: int
    shown: Shown

    @property
    def exit_code(self) -> int:
        """The exit code that the page shows; 0 without one."""
        found = _EXIT_CODE.match(self.shown.lines[-1]) if self.shown.lines else None
        return int(found[1]) if found else 0

    @property
    def output(self) -> tuple[str, ...]:
        """The lines that the page shows, without the exit code."""
        lines = self.shown.lines
        return lines[:-1] if lines and _EXIT_CODE.match(lines[-1]) else lines


@dataclass(frozen=True)
class Block:
    """Something of a page to run or to write; `line` is its first, counted from 1."""

    kind: Kind
    text: str
    line: int
    title: str | None = None
    shown: Shown | None = None
    commands: tuple[Command, ...] = ()
    #: An experiment that shows what is wrong with it.
    is_refused: bool = False


@dataclass(frozen=True)
class Page:
    """A page, and what is to be run of it."""

    name: str
    lines: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def has_provider(self) -> bool:
        """Whether the page needs a server that speaks OpenAI's API."""
        return "<!-- provider -->" in map(str.strip, self.lines)

    @property
    def has_commands(self) -> bool:
        """Whether anything is run by bash."""
        return any(block.kind in ("console", "setup") for block in self.blocks)

    @property
    def is_slow(self) -> bool:
        """Whether the page is left out of the quick tests."""
        is_marked = "<!-- slow -->" in map(str.strip, self.lines)
        return is_marked or self.has_commands or self.has_provider


@dataclass(frozen=True)
class _Fence:
    """A fenced block as it is in the page; `start` and `stop` bound its content."""

    language: str
    title: str | None
    indent: str
    start: int
    stop: int
    lines: tuple[str, ...]
    #: The comment above it, if that is for the tests.
    comment: str | None

    @property
    def shown(self) -> Shown:
        return Shown(self.lines, self.start, self.stop, self.indent)


def read_page(path: Path, name: str) -> Page:
    """Return a page. Raise `PageError`, which names the line, for a broken rule."""
    return parse_page(path.read_text(encoding="utf-8"), name)


def parse_page(text: str, name: str) -> Page:
    """Return the page that a Markdown text is."""
    lines = tuple(text.splitlines())
    try:
        return Page(name, lines, tuple(_blocks(lines)))
    except PageError as error:
        raise PageError(f"{name}:{error}") from None


def _blocks(lines: tuple[str, ...]) -> Iterator[Block]:
    parts = list(_parts(lines))
    for index, part in enumerate(parts):
        if isinstance(part, Block):
            yield part
        elif part.comment != "not run":
            behind = parts[index + 1] if index + 1 < len(parts) else None
            block = _block(part, _output_of(part, behind, lines))
            if block is not None:
                yield block


def _block(fence: _Fence, output: Shown | None) -> Block | None:
    """Return what is to be done with a fenced block; `None` if it is only shown."""
    text = "".join(f"{line}\n" for line in fence.lines)
    line = fence.start + 1
    if fence.title is not None:
        kind: Kind = "experiment" if fence.language == "yaml" else "file"
        is_refused = fence.comment == "refused"
        return Block(kind, text, line, fence.title, is_refused=is_refused)
    if fence.language == "python":
        return Block("python", text, line, shown=output)
    if fence.language == "console":
        return Block("console", text, line, commands=tuple(_commands(fence)))
    if fence.language == "yaml":
        return Block("experiment", text, line, is_refused=fence.comment == "refused")
    if fence.language not in SHOWN_ONLY:
        raise PageError(
            f"{fence.start}: a block of {fence.language or 'no language'!r} is neither "
            "run nor known as one that is only shown; commands are `console`"
        )
    return None


def _parts(lines: tuple[str, ...]) -> Iterator[_Fence | Block]:
    """Yield the fenced blocks and the hidden commands of a page, in order."""
    above = None
    number = 0
    while number < len(lines):
        line = lines[number]
        comment = _COMMENT.match(line)
        opened = _FENCE.match(line)
        if comment and comment[1] == "run":
            yield Block("setup", comment[2], number + 1)
        elif comment:
            above = comment[1]
        elif opened:
            stop = _end_of(lines, number, opened)
            indent = opened["indent"]
            title = _TITLE.search(opened["rest"])
            yield _Fence(
                opened["language"],
                title[1] if title else None,
                indent,
                number + 1,
                stop,
                tuple(item.removeprefix(indent) for item in lines[number + 1 : stop]),
                above,
            )
            above = None
            number = stop
        elif line.strip():
            above = None
        number += 1


def _end_of(lines: tuple[str, ...], number: int, opened: re.Match[str]) -> int:
    """Return the number of the line that closes the block opened on line `number`."""
    for stop in range(number + 1, len(lines)):
        if lines[stop].strip() == opened["ticks"]:
            return stop
    raise PageError(f"{number + 1}: the block has no end")


def _output_of(
    fence: _Fence, behind: _Fence | Block | None, lines: tuple[str, ...]
) -> Shown | None:
    """Return the output that a `text` block right behind a block shows, if any."""
    if not isinstance(behind, _Fence) or behind.language != "text":
        return None
    between = lines[fence.stop + 1 : behind.start - 1]
    return None if any(line.strip() for line in between) else behind.shown


def _commands(fence: _Fence) -> Iterator[Command]:
    """Yield the commands of a console block.

    A command goes on where a line ends in a backslash, and on lines that begin with
    `> `.
    """
    lines = fence.lines
    number = 0
    while number < len(lines):
        if not lines[number].startswith("$ "):
            raise PageError(
                f"{fence.start + number + 1}: output without a command; a command "
                "begins with `$ `"
            )
        first = number
        text = lines[number][2:]
        number += 1
        while number < len(lines) and (
            text.endswith("\\") or lines[number].startswith("> ")
        ):
            text = f"{text}\n{lines[number].removeprefix('> ')}"
            number += 1
        start = number
        while number < len(lines) and not lines[number].startswith("$ "):
            number += 1
        shown = Shown(
            lines[start:number],
            fence.start + start,
            fence.start + number,
            fence.indent,
        )
        yield Command(text, fence.start + first + 1, shown)
