"""How commands open a store, write files, and say what is wrong with what they were
given: in one line, exit code 2.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
import yaml
from rich.console import Console
from rich.text import Text

from flows.exit_codes import BAD_INPUT
from themis_lib import InputError, RunStore
from themis_lib.core.config import StorageConfig
from themis_lib.errors import ConfigError
from themis_lib.storage.store import open_store

#: Where the examples keep their runs.
DEFAULT_STORE = "results"

StoreUrl = Annotated[str, typer.Option("--store", help="A folder or fsspec URL.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="An option of the filesystem, key=value; ${NAME} reads the environment.",
    ),
]


def opened(
    url: str,
    options: list[str] | None,
) -> RunStore:
    """The store at an address. Raises `InputError` where there is none, or nothing in
    it.
    """
    store = open_store(
        *StorageConfig(
            store=url,
            parameters=_parse_options(options or []),
        ).resolved()
    )
    if not store.list("rows") and not store.list("runs"):
        raise InputError(f"store {url!r} has no rows and no runs")
    return store


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Say an `InputError` of the block, or what is wrong with a table that it reads, in
    one line and exit.
    """
    try:
        yield
    except InputError as error:
        problem = str(error)
    except BrokenPipeError:  # whoever read the output has gone
        raise
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split())
        problem = f"a file of the store cannot be used ({said}); `python -m flows.store check` looks at every one"
    else:
        return
    Console(stderr=True).print(
        Text.assemble(("error: ", "bold red"), problem), soft_wrap=True
    )
    raise typer.Exit(BAD_INPUT)


def write_text(
    path: Path,
    text: str,
) -> None:
    """Write a file that somebody named. Raises `ConfigError` where that cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror}"
        ) from None


def _parse_options(options: list[str]) -> dict[str, Any]:
    """Options as an experiment file would have them: `--option anon=true` is a boolean."""
    pairs = [option.partition("=") for option in options]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise ConfigError(f"--option {name!r}: write key=value")
    return {name: yaml.safe_load(value) for name, _, value in pairs}
