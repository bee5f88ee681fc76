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
    with tempfile.TemporaryDirectory() as scratch, _server(Path(scratch)) as server:
        for path in pages or page_paths():
            try:
                failed += _run_one(path, Path(scratch), server, update)
            except PageError as error:
                print(error)
                failed += 1
    raise typer.Exit(int(failed > 0))


def _run_one(path: Path, scratch: Path, server: dict[str, str], update: bool) -> int:
    page = read_page(path, str(path))
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
def _server(scratch: Path) -> Iterator[dict[str, str]]:
    """Yield the variables of a Prefect home of the pages' own.

    The first command that needs a server starts it there; it is stopped in the end.
    """
    from flows.server import stop_server

    os.environ["PREFECT_HOME"] = str(scratch / "prefect")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    yield {"PREFECT_HOME": os.environ["PREFECT_HOME"]}
    stop_server()


if __name__ == "__main__":
    sys.exit(app())
