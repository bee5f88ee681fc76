"""Look after a store.

    python -m flows.store check [URL]     is every file readable, and every row of every
                                          run in the store? `python -m flows.verify`
                                          also computes rows again, and compares
    python -m flows.store measure [URL]   rows, bytes and files by stage, and the runs
                                          that refer to them
    python -m flows.store compact [URL]   merge small files; nothing is lost or computed
    python -m flows.store prune [URL]     what no run refers to; --yes removes it

Credentials come from the environment, as the filesystem reads them (AWS_ACCESS_KEY_ID,
…), or by `--option`. Exit codes: 0 good, 1 something is wrong with the store, 2 bad
input.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from flows.opening import Options, one_line_errors, opened
from flows.terminal import as_text, open_console
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.labels.stored_labels import is_label_path
from themis_lib.runs.inventory import holdings
from themis_lib.runs.manifest import RunStatus, manifests
from themis_lib.upkeep.check import check as check_store
from themis_lib.upkeep.compact import compact as compact_store
from themis_lib.upkeep.prune import Unused, remove, unused

_WRONG = 1
_HOUR_S = 3600
# Enough to tell fingerprints apart, as Git does with commits.
_SHOWN_DIGITS = 12

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Look after a store of rows and runs.",
)

Url = Annotated[
    str,
    typer.Argument(help="A folder or fsspec URL."),
]


@app.command()
def check(
    url: Url = DEFAULT_STORE,
    option: Options = None,
) -> None:
    """Read every file, look for every run's rows, and say what is wrong.

    Nothing is computed: `themis verify` says whether rows would come out the same.
    """
    console = open_console()
    with one_line_errors():
        count = 0
        for problem in check_store(opened(url, option)):
            count += 1
            _print_line(console, str(problem))
        if count:
            console.print(f"{count:,} problem(s)")
            raise typer.Exit(_WRONG)
        console.print("every file can be read, and the rows of every run are there")


@app.command()
def measure(
    url: Url = DEFAULT_STORE,
    option: Options = None,
) -> None:
    """Count rows, bytes, files and runs by stage and fingerprint."""
    console = open_console()
    with one_line_errors():
        store = opened(url, option)
        files = store.files()
        runs = manifests(store)
        table = Table("stage", "fingerprint", box=box.SIMPLE_HEAD)
        for heading in ("files", "rows", "bytes", "runs"):
            table.add_column(heading, justify="right")
        table.add_column("newest run")
        for held in holdings(store, files, runs):
            table.add_row(
                as_text(held.stage),
                held.fingerprint[:_SHOWN_DIGITS],
                f"{held.files:,}",
                f"{held.rows:,}",
                decimal(held.bytes),
                f"{len(held.runs):,}",
                held.runs[-1] if held.runs else "—",
            )
        console.print(table)
        total = in_rows = in_labels = 0
        for file in files:
            total += file.bytes
            if file.path.startswith("rows/"):
                in_rows += file.bytes
            elif is_label_path(file.path):
                in_labels += file.bytes
        labels = f"labels {decimal(in_labels)}, " if in_labels else ""
        console.print(
            f"{len(files):,} files, {decimal(total)}: rows {decimal(in_rows)}, "
            f"{labels}the rest {len(runs):,} run(s)"
        )


@app.command()
def compact(
    url: Url = DEFAULT_STORE,
    option: Options = None,
) -> None:
    """Merge small files of rows and labels; run it while no run writes to the store."""
    console = open_console()
    with one_line_errors():
        before = after = 0
        for done in compact_store(opened(url, option)):
            before += done.files_before
            after += done.files_after
            if done.files_before == done.files_after:
                continue
            change = f"{done.files_before} → {done.files_after} files"
            _print_line(console, f"{done.directory}: {change}")
        console.print(f"{before:,} files before, {after:,} after")


@app.command()
def prune(
    url: Url = DEFAULT_STORE,
    option: Options = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Remove it; without this it is only listed."),
    ] = False,
    hours: Annotated[
        float,
        typer.Option(
            min=0,
            help="Keep what was written in the last hours.",
        ),
    ] = 24,
) -> None:
    """Remove rows that no run refers to, and what interrupted runs left behind.

    To give up a run, remove its folder.
    """
    console = open_console()
    with one_line_errors():
        store = opened(url, option)
        runs = manifests(store)
        found = unused(store, older_than_s=hours * _HOUR_S)
        outcome = "could be removed; --yes removes it"
        items: Iterable[Unused] = found
        if yes:
            outcome = "removed"
            # A run that is not known yet has begun since, and keeps its rows.
            known = [run.run_id for run in runs]
            items = remove(store, found, known=known)
        for item in items:
            size = f"{len(item.files):,} file(s), {decimal(item.bytes)}"
            _print_line(console, f"{item.directory}: {size}, {item.why}")
        for run in runs:
            # A killed process cannot say that its run has ended.
            if run.status is RunStatus.RUNNING:
                _print_line(
                    console,
                    f"every row of run {run.run_id} is kept, which is under way since "
                    f"{run.started_at}; remove its folder if it is not",
                )
        total = decimal(sum(item.bytes for item in found))
        console.print(f"{total} {outcome}")


def _print_line(
    console: Console,
    line: str,
) -> None:
    # As `Text`, since a path may have square brackets, and unwrapped, to be copied.
    console.print(as_text(line), soft_wrap=True)


if __name__ == "__main__":
    app()
