"""Report a run that is in a store.

    python -m flows.report RUN [--store URL] [--option KEY=VALUE …]
                               [--format html|markdown|csv|latex|every-eval-ever]
                               [--output FILE]

RUN is a run's id, the beginning of one, `last`, or an experiment's name for its latest
run. HTML is written beside the run's tables unless `--output` says otherwise, and its
address printed. The other formats are printed: Markdown is a whole report, CSV and
LaTeX are the summary as a table, and Every Eval Ever is a record of that schema; with
`--output FOLDER`, it and a record of each sample are written below that folder, where
the schema has them. Exit codes: 0 good, 2 bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.opening import (
    Options,
    RunName,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from themis_lib import RunResult, SummaryRow
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.report.every_eval_ever import (
    as_json,
    every_eval_ever_result,
    write_every_eval_ever,
)
from themis_lib.report.exports import csv_table, latex_table
from themis_lib.report.html import report_html, write_report
from themis_lib.report.markdown import SUMMARY_HEADINGS, markdown_report, summary_cells
from themis_lib.runs.find_run import find_run

ReportFormat = Literal["html", "markdown", "csv", "latex", "every-eval-ever"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def report(
    run: RunName,
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    form: Annotated[
        ReportFormat,
        typer.Option("--format", help="A page, a report, or the summary as a table."),
    ] = "html",
    output: Annotated[
        Path | None,
        typer.Option(
            help="The file to write, in place of printing it; for every-eval-ever a folder."
        ),
    ] = None,
) -> None:
    """Report a run: scores, cost, failures, identity and every case."""
    with one_line_errors():
        result = find_run(opened(store, option), run)
        if output is not None and form == "every-eval-ever":
            for path in write_every_eval_ever(result, output):
                typer.echo(path)
        elif output is not None:
            write_text(output, report_text(result, form))
            typer.echo(output)
        elif form == "html":
            # A page is for a browser: its address is of more use than its text.
            typer.echo(write_report(result))
        else:
            # The text ends in a line feed already.
            typer.echo(report_text(result, form), nl=False)


def report_text(
    result: RunResult,
    form: ReportFormat,
) -> str:
    """Return the report of a run as text in one of the formats."""
    if form == "html":
        return report_html(result)
    if form == "markdown":
        return markdown_report(result)
    if form == "every-eval-ever":
        return as_json(every_eval_ever_result(result))
    if form == "csv":
        # Every digit, for further computation.
        values = [list(row.model_dump().values()) for row in result.summary]
        return csv_table(list(SummaryRow.model_fields), values)
    cells = [summary_cells(row) for row in result.summary]
    caption = f"{result.manifest.name}, run {result.run_id}"
    return latex_table(SUMMARY_HEADINGS, cells, caption)


if __name__ == "__main__":
    app()
