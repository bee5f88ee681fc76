"""Report a run that is in a store.

    python -m flows.report RUN [--store URL] [--format html|markdown|csv|latex] [--output FILE]

RUN is a run's id, the beginning of one, `last`, or an experiment's name for its latest run. HTML is written beside the
run's tables unless `--output` says otherwise, and its address printed; the other formats are printed: Markdown is a
whole report, CSV and LaTeX are the summary as a table. Exit codes: 0 good, 2 bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from themis_lib import InputError, RunResult, StorageConfig, SummaryRow
from themis_lib.core.find_run import find_run
from themis_lib.core.store import open_store
from themis_lib.errors import ConfigError
from themis_lib.report.exports import csv_table, latex_table
from themis_lib.report.html import report_html, write_report
from themis_lib.report.markdown import SUMMARY_HEADINGS, markdown_report, summary_cells

_BAD_INPUT = 2
_Format = Literal["html", "markdown", "csv", "latex"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="A run's id, the beginning of one, `last`, or an experiment's name.")],
    store: Annotated[str, typer.Option(help="A folder or fsspec URL.")] = "results",
    form: Annotated[_Format, typer.Option("--format", help="A page, a report, or the summary as a table.")] = "html",
    output: Annotated[Path | None, typer.Option(help="The file to write, in place of printing it.")] = None,
) -> None:
    """Report a run: summary, distributions, cost, failures, identity and every case, as one HTML file or otherwise."""
    try:
        result = find_run(open_store(*StorageConfig(store=store).resolved()), run)
        if output is not None:
            _write(output, _text(result, form))
            typer.echo(output)
        elif form == "html":
            with result.store.refusals():
                typer.echo(write_report(result))
        else:
            typer.echo(_text(result, form), nl=False)
    except InputError as error:
        Console(stderr=True).print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        raise typer.Exit(_BAD_INPUT) from None


def _text(result: RunResult, form: _Format) -> str:
    if form == "html":
        return report_html(result)
    if form == "markdown":
        return markdown_report(result)
    if form == "csv":
        return csv_table(list(SummaryRow.model_fields), [list(row.model_dump().values()) for row in result.summary])
    caption = f"{result.manifest.name}, run {result.run_id}"
    return latex_table(SUMMARY_HEADINGS, [summary_cells(row) for row in result.summary], caption)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output {str(path)!r} cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    app()
