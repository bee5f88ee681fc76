"""Write an experiment to start from: its file, data, a metric, and a CI workflow.

    python -m flows.init [FOLDER] [--template NAME]
    python -m flows.init --list

Nothing is overwritten: where one of the files exists already, none is written. Exit
codes: 0 written or listed, 2 bad input.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.opening import one_line_errors
from flows.terminal import as_text, open_console
from flows.typed import command
from themis_lib.errors import ConfigError, nearest

TEMPLATES_FOLDER = Path(__file__).parent / "templates"
DEFAULT_TEMPLATE = "demo"
#: Files of a template that are written elsewhere than beside the experiment.
_PLACES = {"evaluate.yml": ".github/workflows/evaluate.yml"}


@dataclass(frozen=True)
class Template:
    """What a template is for, and what to type before its experiment can run."""

    summary: str
    needs: tuple[str, ...] = ()


_OPENAI = (
    "pip install 'themis-flows[openai]'",
    "export OPENAI_API_KEY=…    # OPENAI_BASE_URL=… for another server",
)
#: The templates by name, those that need least first.
TEMPLATES: Mapping[str, Template] = {
    "demo": Template("a function as the model: no model, key or network"),
    "recorded": Template("score outputs that you have in a file"),
    "openai": Template("a model of OpenAI's, or of a compatible server", _OPENAI),
    "judge": Template("a model judges answers, beside people's labels", _OPENAI),
    "local": Template(
        "the bundled model, in this process",
        (
            "CMAKE_ARGS='-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF' pip install 'themis-flows[local]'",
        ),
    ),
}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def init(
    folder: Annotated[
        Path,
        typer.Argument(help="Where to write; it is made if it does not exist."),
    ] = Path(),
    template: Annotated[
        str,
        typer.Option(help="What to start from; --list shows them all."),
    ] = DEFAULT_TEMPLATE,
    show_list: Annotated[
        bool,
        typer.Option("--list", help="List the templates, and write nothing."),
    ] = False,
) -> None:
    """Write an experiment to start from, with data, a metric and a CI workflow."""
    console = open_console()
    with one_line_errors():
        if show_list:
            print_templates(console)
            return
        written = write_template(template, folder)
        for path in written:
            _print_line("wrote", str(path), console)
        for line in TEMPLATES[template].needs:
            _print_line("first", line, console)
        _print_line("next", next_command(folder), console)


def print_templates(console: Console) -> None:
    """Print each template's name and what it is for."""
    width = max(map(len, TEMPLATES))
    for name, template in TEMPLATES.items():
        default = " (the default)" if name == DEFAULT_TEMPLATE else ""
        line = f"{name:<{width}}  {template.summary}{default}"
        console.print(as_text(line), soft_wrap=True)


def write_template(
    name: str,
    folder: Path,
) -> list[Path]:
    """Write the files of a template to a folder and return their paths.

    Raise `ConfigError` for an unknown template, for files that exist already, of which
    all are named and none is changed, and for a folder that cannot be written.
    """
    if name not in TEMPLATES:
        raise ConfigError(f"template {name!r} is unknown; {nearest(name, TEMPLATES)}")
    contents = _contents(name, folder)
    written: list[Path] = []
    try:
        existing = [str(path) for path in contents if os.path.lexists(path)]
        if existing:
            raise ConfigError(
                f"nothing is written: there is already {', '.join(existing)}; "
                "name another folder"
            )
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # `x` refuses a file that another process has written in the meantime.
            with path.open("xb") as file:
                written.append(path)
                file.write(content)
    except OSError as error:
        for path in written:
            path.unlink()
        raise ConfigError(
            f"{str(error.filename or folder)!r} cannot be written: {error.strerror}"
        ) from None
    return written


def next_command(folder: Path) -> str:
    """Return what to type to run the experiment in a folder."""
    return command("run", str(folder / "experiment.yaml"))


def _contents(
    name: str,
    folder: Path,
) -> dict[Path, bytes]:
    """Return the content of each file to write, by its path."""
    contents = {}
    for file in sorted((TEMPLATES_FOLDER / name).iterdir()):
        # Python leaves a folder where a module has been imported.
        if file.is_file():
            place = _PLACES.get(file.name, file.name)
            contents[folder / place] = file.read_bytes()
    return contents


def _print_line(
    name: str,
    text: str,
    console: Console,
) -> None:
    # Not wrapped: paths and commands are copied from here.
    console.print(as_text(f"{name:<8}{text}"), soft_wrap=True)


if __name__ == "__main__":
    app()
