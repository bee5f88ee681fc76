"""Explain one case through every stage of a run.

    python -m flows.why RUN CASE [--store URL] [--dataset ID] [--sample N]

RUN is a run's id, the beginning of one, `last`, or an experiment's name. For each row:
the columns that its key covers, what the stage made of them, whether the run computed
or found it, what has changed, and the file it is in. Nothing is computed. Exit codes:
0 explained, 2 bad input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from flows.opening import Options, RunName, StoreUrl, one_line_errors, opened
from flows.terminal import as_text, assemble
from themis_lib.core.shown_parts import without_media
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.explain.why import (
    Explanation,
    RowExplanation,
    explain,
)
from themis_lib.runs.find_run import find_run

_STYLES = {
    "computed": "bold cyan",
    "cached": "green",
    "failed": "bold red",
    "skipped": "yellow",
    "not known": "yellow",
}
_CELL_STYLES = {
    "error": "red",
    "changed": "yellow",
}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def why(
    run: RunName,
    case: Annotated[
        str,
        typer.Argument(help="The id of the case."),
    ],
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="The case's dataset, where several have such a case."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(help="One sample of the case; otherwise all."),
    ] = None,
) -> None:
    """Explain one case of a run: what each stage read, and where each row is from."""
    console = Console()
    with one_line_errors():
        result = find_run(opened(store, option), run)
        explanation = explain(
            result,
            case,
            dataset_id=dataset,
            sample_index=sample,
        )
        lines = explanation_lines(
            explanation,
            name=result.manifest.name,
            place=result.store.uri("rows"),
            width=console.width,
        )
        for line in lines:
            console.print(
                line,
                soft_wrap=True,
                highlight=False,
            )


def explanation_lines(
    explanation: Explanation,
    *,
    name: str,
    place: str,
    width: int,
) -> Iterator[Text]:
    """Yield the lines to show of a case.

    `name` is the experiment's, and `place` the address of the store's rows. Values are
    cut to `width` columns; addresses and keys, which people copy, are not.
    """
    yield assemble(
        ("case ", "dim"),
        (explanation.case_id, "bold"),
        (" of ", "dim"),
        explanation.dataset_id,
        (" in run ", "dim"),
        explanation.run_id,
        (f" of {name}", "dim"),
    )
    compared = f"no earlier run of {name} has this case"
    if explanation.run_before:
        compared = f"compared with run {explanation.run_before}"
    yield as_text(compared, style="dim")
    yield as_text(f"rows in {place}", style="dim")
    for stage in explanation.stages:
        yield Text()
        # A stage's label is its kind, and for scores and judges what it is for.
        kind = stage.stage.partition("[")[0]
        directory = f"{kind}/{stage.fingerprint}"
        yield assemble((stage.stage, "bold underline"), (f"  {directory}", "dim"))
        if stage.changes:
            yield as_text(f"  changed since run {stage.changed_since}")
            for change in stage.changes:
                yield as_text(f"    {change}", style="yellow")
        if kind == "judge":
            yield as_text(
                "  its request is made of these columns; no table holds the request itself",
                style="dim",
            )
        for row in stage.rows:
            yield from _row_lines(row, f"{place}/{directory}/", width)


def _row_lines(
    row: RowExplanation,
    directory: str,
    width: int,
) -> Iterator[Text]:
    # A reduced row is for all samples of a case and one metric.
    label = f"sample {row.sample_index}"
    if row.sample_index is None:
        label = f"metric {row.metric_id}"
    shared = ""
    if row.equal_rows > 1:
        shared = f"; {row.equal_rows:,} equal rows of the run share it"
    origin = row.origin
    yield assemble(
        f"  {label}  ",
        (origin.name, _STYLES[origin.name]),
        f": {origin.reason}{shared}",
    )
    before = ""
    for heading, text in row_cells(row):
        # A heading is shown once for all lines below it.
        shown = "" if heading == before else heading
        before = heading
        line = assemble(
            (f"    {shown:<9}", "dim"),
            (text, _CELL_STYLES.get(heading, "")),
        )
        line.truncate(width, overflow="ellipsis")
        yield line
    if row.key is not None:
        yield assemble(("    key      ", "dim"), row.key)
    if origin.file is not None:
        # The stage's line has the folder already.
        file = origin.file.removeprefix(directory)
        yield assemble(("    file     ", "dim"), file)


def row_cells(row: RowExplanation) -> Iterator[tuple[str, str]]:
    """Yield what is to say of a row, as heading and text: input first, then outcome."""
    for name, text in row.columns.items():
        yield "read", f"{name} = {without_media(text)}"
    for change in row.changes:
        yield "changed", change
    if row.reasoning is not None:
        yield "thought", row.reasoning
    if row.batch_id is not None:
        yield "batch", row.batch_id
    if row.value is not None:
        yield "gave", row.value
    if row.error is not None:
        yield "error", row.error


if __name__ == "__main__":
    app()
