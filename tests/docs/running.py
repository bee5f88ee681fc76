"""Runs a page from top to bottom in a folder, and tells where it is wrong."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.docs.outputs import agrees, lines_of
from tests.docs.pages import Block, Command, Page, Shown

ROOT = Path(__file__).parents[2]
#: How outputs name the folder of a page, and that of the project.
HOME_OF_PAGES = "/home/you/evals"
HOME_OF_PROJECT = "/home/you/themis-flows"
_COMMAND_TIMEOUT_S = 240
#: What would change what a command prints, or where it asks.
_NOT_INHERITED = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "FORCE_COLOR",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PREFECT_LOGGING_LEVEL",
    "VLLM_API_KEY",
    "VLLM_BASE_URL",
)
#: The commands that pages use, as the installation would write them.
_PROGRAMS = {
    # As pip writes it: a spawned process imports the program again.
    "themis": (
        f"#!{sys.executable}\nimport sys\nfrom flows.cli import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    ),
    # A link would be a Python without the packages of the virtual environment.
    "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
}


@dataclass(frozen=True)
class Problem:
    """Something that a page says and that is not so.

    `shown` is the place in the page, and `actual` what belongs there, if that is known.
    """

    line: int
    what: str
    details: str = ""
    shown: Shown | None = None
    actual: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}\n{textwrap.indent(self.details, '    ')}"


@dataclass
class PageRun:
    """A page being run in a folder, with the variables that its programs see."""

    page: Page
    folder: Path
    environment: dict[str, str]
    problems: list[Problem] = field(default_factory=list)

    def run(self, python: PythonSession) -> list[Problem]:
        """Run everything, go on after what is wrong, and return all of that."""
        for block in self.page.blocks:
            if block.title is not None:
                file = self.folder / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            if block.kind == "experiment":
                self._compile(block, python)
            elif block.kind == "python":
                self._run_python(block, python)
            elif block.kind == "setup":
                self._run_setup(block)
            for command in block.commands:
                self._run_command(command)
        return self.problems

    def _compile(self, block: Block, python: PythonSession) -> None:
        error = python.ask("compile", block, self.page.name)["error"]
        if not block.is_refused:
            self._note_error(block, "this experiment is refused", error)
        elif error is None:
            self.problems.append(Problem(block.line, "this experiment is not refused"))

    def _run_python(self, block: Block, python: PythonSession) -> None:
        answer = python.ask("python", block, self.page.name)
        self._note_error(block, "this block raises", answer["error"])
        if answer["error"] is None:
            shown = block.shown
            expected = shown.lines if shown else ()
            self._compare(expected, answer["output"], block.line, "this block", shown)

    def _run_setup(self, block: Block) -> None:
        code, output = self._bash(block.text)
        if code:
            what = f"`{block.text}` ends with {code}"
            self.problems.append(Problem(block.line, what, output))

    def _run_command(self, command: Command) -> None:
        code, output = self._bash(command.text)
        if code != command.exit_code:
            shown = f"(exit code {code})"
            lines = (*self._lines(output), *([shown] if code else []))
            what = f"`{command.text}` ends with {code}, not {command.exit_code}"
            self.problems.append(
                Problem(command.line, what, "\n".join(lines), command.shown, lines)
            )
            return
        what = f"`{command.text}`"
        self._compare(command.output, output, command.line, what, command.shown)

    def _bash(self, command: str) -> tuple[int, str]:
        """Run a command. Return its exit code, and all that it prints."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=_COMMAND_TIMEOUT_S,
        )
        return done.returncode, done.stdout.decode()

    def _compare(
        self,
        expected: Sequence[str],
        output: str,
        line: int,
        what: str,
        shown: Shown | None,
    ) -> None:
        actual = self._lines(output)
        if agrees(expected, "\n".join(actual)):
            return
        if shown is not None and len(shown.lines) > len(expected):
            # What is shown ends in the exit code, which was right.
            actual = [*actual, shown.lines[-1]]
        details = "\n".join(
            difflib.unified_diff(
                lines_of("\n".join(expected)), actual, "shown", "printed", lineterm=""
            )
        )
        self.problems.append(
            Problem(line, f"{what} prints something else", details, shown, (*actual,))
        )

    def _lines(self, output: str) -> list[str]:
        named = output.replace(str(self.folder), HOME_OF_PAGES)
        return lines_of(named.replace(str(ROOT), HOME_OF_PROJECT))

    def _note_error(self, block: Block, what: str, error: str | None) -> None:
        if error is not None:
            self.problems.append(Problem(block.line, what, error))


class PythonSession:
    """The process that runs the Python of a page. Use it as a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def __enter__(self) -> Self:
        reads, writes = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.docs.session", str(writes)],
            cwd=self._folder,
            env=dict(self._environment),
            stdin=subprocess.PIPE,
            pass_fds=[writes],
            text=True,
        )
        os.close(writes)
        self._answers = os.fdopen(reads, encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        # It may have ended already, with a request that it never read.
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._answers.close()

    def ask(self, do: str, block: Block, page: str) -> dict[str, Any]:
        """Return what the process answers to a block, also if it has ended."""
        request = {"do": do, "text": block.text, "name": f"<{page}:{block.line}>"}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            answer = ""
        else:
            answer = self._answers.readline()
        if not answer:
            code = self._process.wait()
            return {"output": "", "error": f"the process ended with {code}"}
        return dict(json.loads(answer))


def run_page(
    page: Page,
    folder: Path,
    programs: Path,
    *,
    variables: Mapping[str, str],
) -> list[Problem]:
    """Run a page in an empty folder. Return what is wrong with it.

    `programs` is a folder for the commands that pages use; `variables` are added to the
    environment.
    """
    environment = page_environment(programs, variables)
    with PythonSession(folder, environment) as python:
        return PageRun(page, folder, environment).run(python)


def page_environment(programs: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a page, with `themis` and `python` on its path."""
    programs.mkdir(exist_ok=True)
    for name, source in _PROGRAMS.items():
        program = programs / name
        program.write_text(source, encoding="utf-8")
        program.chmod(0o755)
    inherited = {
        name: value for name, value in os.environ.items() if name not in _NOT_INHERITED
    }
    return {
        **inherited,
        "COLUMNS": "100",
        "EXAMPLES": str(ROOT / "examples"),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
        **variables,
    }


@contextmanager
def provider_variables() -> Iterator[dict[str, str]]:
    """Yield the variables that name providers on loopback, which are up meanwhile."""
    from tests.support.anthropic_server import AnthropicServer
    from tests.support.batch_server import BatchServer

    with (
        BatchServer(batch_s=1.0) as server,
        AnthropicServer() as anthropic_server,
    ):
        yield {
            "ANTHROPIC_API_KEY": "sk-not-a-key",
            "ANTHROPIC_BASE_URL": anthropic_server.url,
            "OPENAI_API_KEY": "sk-not-a-key",
            "OPENAI_BASE_URL": server.url,
            "VLLM_BASE_URL": server.url,
            # Its SDK appends the version to the address.
            "MISTRAL_API_KEY": "sk-not-a-key",
            "MISTRAL_API_BASE": server.url.removesuffix("/v1"),
        }


def updated(page: Page, problems: Sequence[Problem]) -> str:
    """Return the text of a page with each output that differs as it really is."""
    lines = list(page.lines)
    # From the end: replacing moves the lines behind.
    for problem in reversed(problems):
        place = problem.shown
        if place is not None:
            indent = place.indent
            actual = [f"{indent}{line}" if line else line for line in problem.actual]
            lines[place.start : place.stop] = actual
    return "".join(f"{line}\n" for line in lines)
