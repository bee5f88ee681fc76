"""How commands open a store, write files, and refuse bad input in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
import yaml
from rich.console import Console

from flows.exit_codes import BAD_INPUT
from flows.terminal import assemble
from flows.typed import command
from themis_lib import InputError, RunStore
from themis_lib.core.config import StorageConfig
from themis_lib.core.store_names import check_store_name
from themis_lib.errors import ConfigError
from themis_lib.storage.store import open_store

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        help="A folder or fsspec URL.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="An option of the filesystem, key=value; ${NAME} reads the environment.",
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        help="A run's id, the beginning of one, `last`, or an experiment's name."
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(help="Write a page to read offline."),
]
MarkdownFile = Annotated[
    Path | None,
    typer.Option(help="Write Markdown, for a pull request."),
]
IsAllowed = Annotated[
    bool,
    typer.Option("--yes", help="Pay for calls without asking."),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write every number, with every digit."),
]


def opened(
    url: str,
    options: list[str] | None,
) -> RunStore:
    """Open the store at an address.

    Raise `InputError` if there is no store, or an empty one: nothing is created.
    """
    # Here it is an error of one line; from the model it would be Pydantic's.
    check_store_name(url)
    storage = StorageConfig(
        store=url,
        parameters=parse_options(options or []),
    )
    store = open_store(*storage.resolved())
    # A misspelt address would otherwise look like a store without runs.
    if not store.list("rows") and not store.list("runs"):
        raise InputError(f"store {url!r} has no rows and no runs")
    return store


def parse_options(options: list[str]) -> dict[str, Any]:
    """Return the values of `--option`, typed as an experiment file would have them.

    Raise `ConfigError` for one that is not written `key=value`, or whose value is
    not YAML.

    >>> parse_options(["anon=true", "endpoint_url=http://127.0.0.1:9000"])
    {'anon': True, 'endpoint_url': 'http://127.0.0.1:9000'}
    """
    values: dict[str, Any] = {}
    for option in options:
        # At the first `=`: a value may contain others.
        name, equals, value = option.partition("=")
        if not name or not equals:
            # Not the whole option: a value may be a credential.
            raise ConfigError(f"--option {name!r}: write key=value")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            # From `None`: the parser's message would quote the value.
            raise ConfigError(
                f"--option {name!r}: the value is not YAML; put it in quotes"
            ) from None
    return values


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn an error of the input, or of a file read, into one line and exit code 2."""
    try:
        yield
    except InputError as error:
        problem = str(error)
    except BrokenPipeError:
        # The reader of the output has gone, such as `| head`: nothing is wrong.
        raise
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split())
        problem = (
            f"a file of the store cannot be used ({said}); "
            f"`{command('store', 'check')}` looks at every one"
        )
    else:
        return
    message = assemble(("error: ", "bold red"), problem)
    Console(stderr=True).print(message, soft_wrap=True)
    raise typer.Exit(BAD_INPUT)


def write_text(
    path: Path,
    text: str,
) -> None:
    """Write a file that the user named. Raise `ConfigError` if that is impossible."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror}"
        ) from None
