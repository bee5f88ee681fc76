"""Explain one case through every stage of a run.

    python -m flows.why RUN CASE [--store URL] [--dataset ID] [--sample N]

RUN is a run's id, the beginning of one, `last`, or an experiment's name. For each row:
the columns that its key covers, what the stage made of them, whether the run computed
or found it, what has changed, and the file it lies in. Nothing is computed. Exit codes:
0 explained, 2 bad input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from flows.opening import DEFAULT_STORE, Options, StoreUrl, one_line_errors, opened
from themis_lib.explain.why import (
    Explanation,
    RowExplanation,
    StageExplanation,
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

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def why(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's id, the beginning of one, `last`, or an experiment's name."
        ),
    ],
    case: Annotated[str, typer.Argument(help="The id of the case.")],
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="The case's dataset, where several have such a case."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="One sample of the case; otherwise all.")
    ] = None,
) -> None:
    """Explain one case of a run: what each stage read, and where each row comes from."""
    console = Console()
    with one_line_errors():
        result = find_run(opened(store, option), run)
        explanation = explain(
            result,
            case,
            dataset_id=dataset,
            sample_index=sample,
        )
        name, place = result.manifest.name, result.store.uri("rows")
        for line in explanation_lines(
            explanation,
            name=name,
            place=place,
            width=console.width,
        ):
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
    """What to show of a case; values are cut to the width, addresses are not."""
    yield Text.assemble(
        ("case ", "dim"),
        (explanation.case_id, "bold"),
        (" of ", "dim"),
        explanation.dataset_id,
        (" in run ", "dim"),
        explanation.run_id,
        (f" of {name}", "dim"),
    )
    before = explanation.run_before
    compared = (
        f"compared with run {before}"
        if before
        else f"no earlier run of {name} has this case"
    )
    yield Text(compared, style="dim")
    yield Text(f"rows in {place}", style="dim")
    for stage in explanation.stages:
        yield Text()
        yield from _stage_lines(stage, place, width)


def _stage_lines(
    stage: StageExplanation,
    place: str,
    width: int,
) -> Iterator[Text]:
    kind = stage.stage.partition("[")[0]
    directory = f"{kind}/{stage.fingerprint}"
    yield Text.assemble((stage.stage, "bold underline"), (f"  {directory}", "dim"))
    if stage.changes:
        yield Text(f"  changed since run {stage.changed_since}")
        for change in stage.changes:
            yield Text(f"    {change}", style="yellow")
    if kind == "judge":
        yield Text(
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
    label = (
        f"metric {row.metric_id}"
        if row.sample_index is None
        else f"sample {row.sample_index}"
    )
    shared = (
        f"; {row.equal_rows:,} equal rows of the run share it"
        if row.equal_rows > 1
        else ""
    )
    origin = row.origin
    yield Text.assemble(
        f"  {label}  ",
        (origin.name, _STYLES[origin.name]),
        f": {origin.reason}{shared}",
    )
    cells = [("read", f"{name} = {text}") for name, text in row.columns.items()]
    cells += [("changed", change) for change in row.changes]
    cells += [("gave", row.value)] if row.value is not None else []
    cells += [("error", row.error)] if row.error is not None else []
    for (heading, text), shown in zip(cells, _shown_headings(cells), strict=True):
        style = {"error": "red", "changed": "yellow"}.get(heading, "")
        line = Text.assemble((f"    {shown:<9}", "dim"), (_as_printable(text), style))
        line.truncate(width, overflow="ellipsis")
        yield line
    if row.key is not None:
        yield Text.assemble(("    key      ", "dim"), row.key)
    if origin.file is not None:
        yield Text.assemble(
            ("    file     ", "dim"), origin.file.removeprefix(directory)
        )


def _shown_headings(cells: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A heading where it is not the same as in the line before."""
    before = ""
    for heading, _ in cells:
        yield "" if heading == before else heading
        before = heading


def _as_printable(text: str) -> str:
    """Text in one line, without characters that a terminal would obey."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


if __name__ == "__main__":
    app()
