"""List the tasks of the catalogue, or print one as an experiment file.

    python -m flows.tasks [SEARCH]
    python -m flows.tasks NAME > my.yaml

What is printed for a name is an experiment file to copy: give it a model, and it runs.
Exit codes: 0 printed, 2 no such task.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from flows.opening import one_line_errors
from flows.terminal import as_text, open_console
from flows.typed import command
from themis_lib.catalog import Task, find_tasks, load_task, task_names

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def tasks(
    search: Annotated[
        str,
        typer.Argument(help="A task's name, or a part of names and titles."),
    ] = "",
) -> None:
    """List the tasks of the catalogue, or print one as an experiment file."""
    with one_line_errors():
        if search in task_names():
            # As it is written, for a file: no line is wrapped.
            typer.echo(load_task(search).text, nl=False)
            return
        # Raises, with the nearest name, where nothing is found.
        found = find_tasks(search) or [load_task(search)]
        print_tasks(found, open_console())


def print_tasks(
    found: list[Task],
    console: Console,
) -> None:
    """Print each task's name, title and licence, and below them how it is scored."""
    width = max(len(task.name) for task in found)
    for task in found:
        about = task.about
        head = f"{task.name:<{width}}  {about.title} ({about.licence})"
        console.print(as_text(head), soft_wrap=True)
        console.print(as_text(f"{'':<{width}}  {about.scoring}", "dim"), soft_wrap=True)
    console.print()
    example = command("run", found[0].name, "model=openai:gpt-4o-mini")
    console.print(as_text(f"run one: {example}"), soft_wrap=True)


if __name__ == "__main__":
    app()
