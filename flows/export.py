"""Write the tables of a run as plain Parquet files.

    python -m flows.export RUN [--store URL] [--option KEY=VALUE …] [--output FOLDER]

RUN is a run's id, the beginning of one, `last`, or an experiment's name for its latest
run. A run refers to rows that it shares with others; this writes copies of them, as
tables that any Parquet reader opens: `cases.parquet`, `outputs.parquet` and so on. They
are written beside the run's record unless `--output` says otherwise, and their
addresses printed. Exit codes: 0 good, 2 bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.opening import Options, RunName, StoreUrl, one_line_errors, opened
from themis_lib import RunResult
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.errors import ConfigError
from themis_lib.runs.export import export_tables
from themis_lib.runs.find_run import find_run

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def export(
    run: RunName,
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The folder to write to, in place of the run's own."),
    ] = None,
) -> None:
    """Write the tables of a run as Parquet files, for DuckDB, Polars, pandas and others."""
    with one_line_errors():
        result = find_run(opened(store, option), run)
        for path in export_tables(result, output or _own_folder(result)):
            typer.echo(path)


def _own_folder(result: RunResult) -> Path:
    if not result.store.local:
        raise ConfigError(
            f"the folder of run {result.run_id!r} is not on this disk; "
            "name one to write to: --output FOLDER"
        )
    return Path(result.location)


if __name__ == "__main__":
    app()
