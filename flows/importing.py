"""Import logs of other evaluation tools as runs.

    python -m flows.importing FILE… [--store URL] [--option KEY=VALUE …] [--name NAME]
                              [--dataset ID] [--format lm_eval|inspect|promptfoo]
                              [--metric SCORE=ID …] [--column PART=COLUMN …]

A FILE is `samples_TASK_DATE.jsonl` of lm-eval, a `.eval` or `.json` log of Inspect, or
the JSON of `promptfoo eval -o results.json`. Its runs are like all others: they can be
reported, explained and compared. A file that was imported before is not written again.
Exit codes: 0 imported, 2 bad input.
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console

from flows.opening import Options, StoreUrl, one_line_errors, parse_options
from flows.result_tables import runs_table
from flows.terminal import as_text, open_console
from themis_lib.core.config import ColumnMap, StorageConfig
from themis_lib.core.store_names import DEFAULT_STORE, check_store_name
from themis_lib.errors import ConfigError
from themis_lib.experiment.imported import ImportedRun, ImportOptions, import_log
from themis_lib.report.html import write_report

Format = Literal["lm_eval", "inspect", "promptfoo"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command(name="import")
def import_logs(
    files: Annotated[
        list[str],
        typer.Argument(help="Logs of lm-eval, Inspect or promptfoo, by path or URL."),
    ],
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    name: Annotated[
        str | None,
        typer.Option(help="The runs' name; by default the log's task."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="The data set's id; by default the log's task."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="The tool, if the file does not tell."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Another name for a score of the log, SCORE=ID."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="The tool's column behind a part of a case, such as input=question; "
            "several with commas between."
        ),
    ] = None,
) -> None:
    """Import logs of lm-eval, Inspect and promptfoo as runs, to report and compare."""
    console = open_console()
    with one_line_errors():
        options = ImportOptions(
            name=name,
            dataset_id=dataset,
            format=form,
            metrics=dict(_pairs(metric, "--metric", "SCORE=ID")),
            columns=_columns(column),
        )
        storage = _storage(store, option)
        runs: list[ImportedRun] = []
        for file in files:
            runs += import_log(file, storage, options)
        console.print(runs_table([run.result for run in runs]))
        for run in runs:
            _print_run(run, console)


def _storage(
    url: str,
    option: list[str] | None,
) -> StorageConfig:
    check_store_name(url)
    if url == "memory":
        raise ConfigError(
            f"store {url!r} ends with this command, and its runs with it; give a folder"
        )
    return StorageConfig(store=url, parameters=parse_options(option or []))


def _pairs(
    texts: list[str] | None,
    option: str,
    form: str,
) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or []:
        left, equals, right = text.partition("=")
        if not (left and equals and right):
            raise ConfigError(f"{option} {text!r}: write {form}")
        pairs.append((left, right))
    return pairs


def _columns(texts: list[str] | None) -> ColumnMap:
    columns: ColumnMap = {}
    for part, names in _pairs(texts, "--column", "PART=COLUMN"):
        # Metadata is a list, of one column too.
        is_list = "," in names or part == "metadata"
        columns[part] = names.split(",") if is_list else names
    return columns


def _print_run(
    run: ImportedRun,
    console: Console,
) -> None:
    """Print where a run is from, what its log lacks, and where its report is."""
    record = run.result.manifest.imported
    assert record is not None  # every run of `import_log` has one
    what = "imported before" if run.was_there else "imported"
    lines = [
        f"{run.result.run_id}  {what}: {record.tool} {record.tool_version or ''}".rstrip()
    ]
    lines += [f"note      {notice}" for notice in record.notices]
    lines.append(f"report    {write_report(run.result)}")
    for line in lines:
        console.print(as_text(line), soft_wrap=True)


if __name__ == "__main__":
    app()
