"""Look after a store.

python -m flows.store compact URL     merge small files; nothing is lost, nothing is computed
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from themis_lib import InputError
from themis_lib.core.compact import compact as compact_store
from themis_lib.core.store import open_store

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Look after a store of rows and runs.")


@app.callback()
def main() -> None:
    """Look after a store of rows and runs."""


@app.command()
def compact(store: Annotated[str, typer.Argument(help="A folder or fsspec URL.")]) -> None:
    """Merge small files of rows; run it while no run writes to the store."""
    console = Console()
    try:
        opened = open_store(store)
        if not opened.exists("rows"):
            raise InputError(f"store {store!r} has no rows to compact")
        before = after = 0
        for done in compact_store(opened):
            before, after = before + done.files_before, after + done.files_after
            if done.files_before != done.files_after:
                console.print(Text(f"{done.directory}: {done.files_before} → {done.files_after} files"), soft_wrap=True)
        console.print(f"{before:,} files before, {after:,} after")
    except InputError as error:
        Console(stderr=True).print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
