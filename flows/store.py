"""Look after a store.

    python -m flows.store check URL       is every file readable, and every row of every run there?
    python -m flows.store measure URL     rows, bytes and files by stage, and their runs
    python -m flows.store compact URL     merge small files; nothing is lost, nothing is computed
    python -m flows.store prune URL       what no run refers to; --yes removes it

Credentials come from the environment, as the filesystem reads them (AWS_ACCESS_KEY_ID,
…), or by `--option`. Exit codes: 0 good, 1 something is wrong with the store, 2 bad
input.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from flows.opening import Options, one_line_errors, opened
from themis_lib.runs.inventory import holdings
from themis_lib.runs.manifest import Manifest, RunStatus, manifests
from themis_lib.upkeep.check import check as check_store
from themis_lib.upkeep.compact import compact as compact_store
from themis_lib.upkeep.prune import remove, unused

_WRONG = 1
_HOUR_S = 3600
_SHOWN_DIGITS = 12

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Look after a store of rows and runs.",
)

Url = Annotated[str, typer.Argument(help="A folder or fsspec URL.")]


@app.command()
def check(
    url: Url,
    option: Options = None,
) -> None:
    """Read every file, and look for the rows of every run; say what is wrong and what
    to do.
    """
    console = Console()
    with one_line_errors():
        store = opened(url, option)
        count = 0
        for problem in check_store(store):
            count += 1
            console.print(Text(str(problem)), soft_wrap=True)
        console.print(
            f"{count:,} problem(s)"
            if count
            else "every file can be read, and the rows of every run are there"
        )
        if count:
            raise typer.Exit(_WRONG)


@app.command()
def measure(
    url: Url,
    option: Options = None,
) -> None:
    """Count rows, bytes and files by stage and fingerprint, with the runs that refer to
    them.
    """
    console = Console()
    with one_line_errors():
        store = opened(url, option)
        files, runs = store.files(), manifests(store)
        table = Table("stage", "fingerprint", box=box.SIMPLE_HEAD)
        for heading in ("files", "rows", "bytes", "runs"):
            table.add_column(heading, justify="right")
        table.add_column("newest run")
        for held in holdings(store, files, runs):
            counts = (
                f"{held.files:,}",
                f"{held.rows:,}",
                decimal(held.bytes),
                f"{len(held.runs):,}",
            )
            table.add_row(
                held.stage,
                held.fingerprint[:_SHOWN_DIGITS],
                *counts,
                max(held.runs, default="—"),
            )
        console.print(table)
        in_rows = sum(file.bytes for file in files if file.path.startswith("rows/"))
        total = sum(file.bytes for file in files)
        console.print(
            f"{len(files):,} files, {decimal(total)}: rows {decimal(in_rows)}, the "
            f"rest {len(runs):,} run(s)"
        )


@app.command()
def compact(
    url: Url,
    option: Options = None,
) -> None:
    """Merge small files of rows; run it while no run writes to the store."""
    console = Console()
    with one_line_errors():
        before = after = 0
        for done in compact_store(opened(url, option)):
            before, after = before + done.files_before, after + done.files_after
            if done.files_before != done.files_after:
                console.print(
                    Text(
                        f"{done.directory}: {done.files_before} → {done.files_after} files"
                    ),
                    soft_wrap=True,
                )
        console.print(f"{before:,} files before, {after:,} after")


@app.command()
def prune(
    url: Url,
    option: Options = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove it; without this it is only listed.")
    ] = False,
    hours: Annotated[
        float,
        typer.Option(
            min=0,
            help="Keep what was written in the last hours.",
        ),
    ] = 24,
) -> None:
    """Remove rows that no run refers to, and what interrupted runs left behind. To give
    up a run, remove its folder.
    """
    console = Console()
    with one_line_errors():
        store = opened(url, option)
        runs = manifests(store)
        found = unused(store, older_than_s=hours * _HOUR_S)
        for item in (
            found
            if not yes
            else remove(store, found, known=[run.run_id for run in runs])
        ):
            size = f"{len(item.files):,} file(s), {decimal(item.bytes)}"
            text = f"{item.directory}: {size}, {item.why}"
            console.print(Text(text), soft_wrap=True)
        for run in runs:
            if run.status is RunStatus.RUNNING:
                console.print(Text(_kept_message(run)), soft_wrap=True)
        total = decimal(sum(item.bytes for item in found))
        console.print(
            f"{total} removed" if yes else f"{total} could be removed; --yes removes it"
        )


def _kept_message(run: Manifest) -> str:
    return (
        f"every row of run {run.run_id} is kept, which is under way since {run.started_at}; "
        "remove its folder if it is not"
    )


if __name__ == "__main__":
    app()
