"""Run pages of the documentation, for those who write them.

    python -m tests.docs [--update] [PAGE …]

Without pages, all of them. `--update` writes what was printed into the pages, where an
output differs; look at the difference before you commit it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tests.docs.pages import Page, PageError, read_page
from tests.docs.running import provider_variables, run_page, updated

app = typer.Typer(add_completion=False)
_ROOT = Path(__file__).parents[2]


def page_paths() -> list[Path]:
    """Return the pages of the project: the README and everything below `docs/`."""
    return [_ROOT / "README.md", *sorted(_ROOT.glob("docs/**/*.md"))]


@app.command()
def run(
    pages: Annotated[list[Path] | None, typer.Argument()] = None,
    update: bool = False,
) -> None:
    """Run pages, and print where they are wrong."""
    failed = 0
    read: dict[Path, Page] = {}
    for path in pages or page_paths():
        try:
            read[path] = read_page(path, str(path))
        except PageError as error:
            print(error)
            failed += 1
    with tempfile.TemporaryDirectory() as scratch:
        starts_runs = any("themis run" in "\n".join(one.lines) for one in read.values())
        with _server(Path(scratch), starts_runs) as server:
            for path, page in read.items():
                failed += _run_one(path, page, Path(scratch), server, update)
    raise typer.Exit(int(failed > 0))


def _run_one(
    path: Path,
    page: Page,
    scratch: Path,
    server: dict[str, str],
    update: bool,
) -> int:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    problems = _problems(page, folder, scratch / "programs", server)
    print(f"{path}: {len(problems)} problems")
    for problem in problems:
        print(problem)
    if update and problems:
        path.write_text(updated(page, problems), encoding="utf-8")
    return len(problems)


def _problems(page: Page, folder: Path, programs: Path, server: dict[str, str]):
    if not page.has_provider:
        return run_page(page, folder, programs, variables=server)
    with provider_variables() as provider:
        return run_page(page, folder, programs, variables={**server, **provider})


@contextmanager
def _server(scratch: Path, is_started: bool) -> Iterator[dict[str, str]]:
    """Yield the variables of a Prefect home for the pages alone, with its server.

    A command that starts it itself would say so in its output.
    """
    from flows.server import ensure_server, stop_server

    os.environ["PREFECT_HOME"] = str(scratch / "prefect")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if is_started:
        ensure_server()
    yield {"PREFECT_HOME": os.environ["PREFECT_HOME"]}
    stop_server()


if __name__ == "__main__":
    sys.exit(app())
