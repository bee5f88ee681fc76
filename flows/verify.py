"""Verify a run: is what the store says of it still true?

    python -m flows.verify RUN [--sample 300 | --all] [--seed N] [--stage STAGE …]
                           [--alpha 0.05] [--yes] [--markdown FILE] [--json FILE]
                           [--store URL] [--option KEY=VALUE …]

Rows of each stage are computed again, without the cache, and compared with those in the
store, cell by cell, and every file with its digest in the run's record. (`themis store
check` computes nothing: it says whether files are damaged and rows are missing.) What a
model draws is drawn anew, and tested against the stored rows; the calls are priced
first, and asked for. No row is changed or added. Exit codes: 0 nothing differs; 1 rows
differ, or a model has changed; 2 bad input, or paid calls that nobody allowed; 6 nothing
differs, but no call to a model came to anything.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.exit_codes import COMPLETED, FAILED, GATE_UNDERPOWERED
from flows.opening import (
    IsAllowed,
    MarkdownFile,
    Options,
    RunName,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from flows.terminal import as_text, assemble, filled_table, open_console
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.errors import ConfigError
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.report.exports import check_file
from themis_lib.report.markdown import dollars
from themis_lib.report.verification_markdown import (
    MODEL_HEADINGS,
    STAGE_HEADINGS,
    model_lines,
    model_rows,
    note_lines,
    stage_lines,
    stage_rows,
    verification_markdown,
)
from themis_lib.runs.find_run import find_run
from themis_lib.verification.models import Verification
from themis_lib.verification.verify import ALPHA, SAMPLE, PlannedCalls, RunVerification

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)

Sample = Annotated[
    int | None,
    typer.Option(
        min=1,
        help=f"Rows of each stage, drawn by the seed; {SAMPLE} without it. Of a model "
        "that draws, the calls.",
    ),
]
Everything = Annotated[
    bool,
    typer.Option("--all", help="Every row: one edited cell is found."),
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="The seed of the sample."),
]
Stages = Annotated[
    list[str] | None,
    typer.Option("--stage", help="Only this stage, such as score or score[METRIC]."),
]
Alpha = Annotated[
    float,
    typer.Option(help="The level of the tests of models."),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write everything that was found."),
]


@app.command()
def main(
    run: RunName,
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    sample: Sample = None,
    everything: Everything = False,
    seed: Seed = 0,
    stage: Stages = None,
    alpha: Alpha = ALPHA,
    yes: IsAllowed = False,
    markdown: MarkdownFile = None,
    json: JsonFile = None,
) -> None:
    """Compute rows of a run again, and say what differs from what is stored.

    `themis store check` looks for damaged files and missing rows, and computes nothing.
    """
    console = open_console()
    # Modules that an experiment names are looked for where the command is called.
    sys.path.insert(0, "")
    with one_line_errors():
        if everything and sample is not None:
            raise ConfigError(
                f"--all takes every row, --sample {sample} some: give one"
            )
        for name, file in (("--markdown", markdown), ("--json", json)):
            if file is not None:
                check_file(name, file)
        verification = RunVerification.of(
            find_run(opened(store, option), run),
            sample=None if everything else sample or SAMPLE,
            seed=seed,
            stages=stage or (),
            alpha=alpha,
        )
        with_calls = yes or _may_call(verification.calls, console)
        found = run_in_new_loop(partial(verification.verify, with_calls=with_calls))
        print_verification(found, console)
        if markdown is not None:
            write_text(markdown, verification_markdown(found))
        if json is not None:
            write_text(json, found.model_dump_json(indent=2) + "\n")
    raise typer.Exit(_code(found))


def _code(found: Verification) -> int:
    """Return the exit code of what was found."""
    if not found.holds:
        return FAILED
    return GATE_UNDERPOWERED if found.cannot_tell else COMPLETED


def _may_call(
    calls: list[PlannedCalls],
    console: Console,
) -> bool:
    """Ask whether to pay for calls. Raise `ConfigError` where nobody can be asked."""
    if not calls:
        return True
    for planned in calls:
        console.print(as_text(calls_line(planned)), soft_wrap=True)
    if not sys.stdin.isatty():
        count = sum(planned.calls for planned in calls)
        raise ConfigError(
            f"verifying this takes {count:,} calls; --yes makes them, --sample makes "
            "fewer, and --stage leaves stages out"
        )
    return typer.confirm("Make them? Without them, the rest is verified.")


def calls_line(planned: PlannedCalls) -> str:
    """Return what the calls of a stage should cost."""
    price = "price not known"
    if planned.cost is not None:
        price = f"about {dollars(planned.cost)}"
    return f"{planned.stage}: {planned.calls:,} calls, {price}"


def print_verification(
    found: Verification,
    console: Console,
) -> None:
    """Print what a verification found."""
    style = "bold red"
    if found.holds:
        style = "bold yellow" if found.cannot_tell else "bold green"
    console.print(
        assemble(
            (found.name, "bold"),
            f"  run {found.run_id}  ",
            (found.verdict, style),
        ),
        soft_wrap=True,
    )
    names = ("stage", "model", "compares", "how", "verdict")
    tables = [(STAGE_HEADINGS, stage_rows(found)), (MODEL_HEADINGS, model_rows(found))]
    for headings, rows in tables:
        if rows:
            console.print(filled_table(headings, rows, left=names))
    for label, lines in (
        ("differs   ", stage_lines(found)),
        ("model     ", model_lines(found)),
        ("note      ", note_lines(found)),
    ):
        for line in lines:
            console.print(assemble((label, "dim"), line), soft_wrap=True)


if __name__ == "__main__":
    app()
