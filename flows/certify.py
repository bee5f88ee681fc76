"""Certify a model: does it give the same answers however it is asked?

    python -m flows.certify URL|MODEL|EXPERIMENT.yaml [key=value …] [--data FILE]
                            [--limit N] [--again] [--plan] [--yes] [--html FILE]
                            [--markdown FILE] [--json FILE] [--store URL]
                            [--option KEY=VALUE …]

The same prompts are asked alone, 2 to 64 at once, shuffled, after a shared prefix, and
again later; what comes out differently is counted. A setting is one of the generator
(`model=NAME`, `temperature=0`, `api_key='${MY_KEY}'`), or an override of the
experiment. The calls are priced first, and asked for; answers are kept in the store,
and no row is asked for twice but with --again. Exit codes: 0 nothing differs; 1
something differs; 2 bad input, or paid calls that nobody allowed; 4 stopped at the
experiment's `max_cost`; 6 nothing differs, but
some way of asking had no answer to compare; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from flows.exit_codes import (
    COMPLETED,
    FAILED,
    GATE_UNDERPOWERED,
    INTERRUPTED,
    OUT_OF_BUDGET,
)
from flows.opening import (
    HtmlFile,
    IsAllowed,
    JsonFile,
    MarkdownFile,
    Options,
    one_line_errors,
    parse_options,
    write_text,
)
from flows.terminal import as_text, assemble, filled_table, open_console
from flows.typed import command, typed_arguments
from themis_lib.certification.certify import ModelCertification, PlannedArrangement
from themis_lib.certification.models import Certification
from themis_lib.certification.target import experiment_for, public_name
from themis_lib.errors import BudgetError, ConfigError
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.experiment.experiment import Experiment
from themis_lib.report.certification_markdown import (
    CHECK_HEADINGS,
    certification_markdown,
    check_rows,
    difference_lines,
    failure_lines,
    found_lines,
    how_line,
)
from themis_lib.report.exports import check_file
from themis_lib.report.markdown import dollars

_PLAN_HEADINGS = ("asked", "rows", "calls", "cost")

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)

Target = Annotated[
    str,
    typer.Argument(
        help="An OpenAI-compatible base URL, a model (`tiny`, a GGUF file, "
        "PROVIDER:NAME), or an experiment's YAML file."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(
        help="Settings of the generator, such as model=NAME; of an experiment: overrides."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(help="A file of prompts, in place of the built-in ones."),
]
Limit = Annotated[
    int | None,
    typer.Option(min=2, help="Only the first N prompts."),
]
Again = Annotated[
    bool,
    typer.Option(
        "--again", help="Ask the prompts alone once more, although they were."
    ),
]
Plan = Annotated[
    bool,
    typer.Option("--plan", help="Say how many calls it takes, and their price."),
]
Store = Annotated[
    str | None,
    typer.Option("--store", help="A folder or fsspec URL; by default `results`."),
]


@app.command()
def main(
    target: Target,
    settings: Settings = None,
    data: Data = None,
    limit: Limit = None,
    again: Again = False,
    plan: Plan = False,
    yes: IsAllowed = False,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    json: JsonFile = None,
    store: Store = None,
    option: Options = None,
) -> None:
    """Ask a model the same prompts in several ways, and say what comes out differently."""
    console = open_console()
    # Modules that an experiment names are looked for where the command is called.
    sys.path.insert(0, "")
    code = INTERRUPTED
    with one_line_errors():
        for name, file in (
            ("--html", html),
            ("--markdown", markdown),
            ("--json", json),
        ):
            if file is not None:
                check_file(name, file)
        experiment = experiment_for(
            target, settings=settings or (), data=data, limit=limit
        )
        certification = ModelCertification.of(
            _with_store(experiment, store, option),
            target=public_name(target),
            again=again,
        )
        planned = certification.plan()
        if plan:
            print_plan(planned, console)
            raise typer.Exit(COMPLETED)
        if certification.is_paid and not yes:
            _ask_for_calls(planned, console)
        try:
            with _progress(certification, len(planned), console):
                found = run_in_new_loop(certification.certify)
        except KeyboardInterrupt:
            again_command = command("certify", *typed_arguments())
            message = f"stopped; every answer is kept. Go on with: {again_command}"
            Console(stderr=True).print(as_text(message), soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None
        except BudgetError as error:
            Console(stderr=True).print(as_text(str(error)), soft_wrap=True)
            raise typer.Exit(OUT_OF_BUDGET) from None
        print_certification(found, console)
        _write(found, html, markdown, json)
        code = certification_code(found)
    raise typer.Exit(code)


def certification_code(found: Certification) -> int:
    """Return the exit code of what was found."""
    if not found.holds:
        return FAILED
    return GATE_UNDERPOWERED if found.cannot_tell else COMPLETED


def _with_store(
    experiment: Experiment,
    store: str | None,
    options: list[str] | None,
) -> Experiment:
    kept = experiment.with_store(store)
    if not options:
        return kept
    storage = kept.storage.model_copy(update={"parameters": parse_options(options)})
    return kept.model_copy(update={"storage": storage})


def _write(
    found: Certification,
    html: Path | None,
    markdown: Path | None,
    json: Path | None,
) -> None:
    if markdown is not None:
        write_text(markdown, certification_markdown(found))
    if json is not None:
        write_text(json, found.model_dump_json(indent=2) + "\n")
    if html is not None:
        # Imported late: only a page needs its templates.
        from themis_lib.report.html_certification import certification_html

        write_text(html, certification_html(found))


def print_plan(
    planned: list[PlannedArrangement],
    console: Console,
) -> None:
    """Print the calls of each way of asking, and all together."""
    rows = [
        (item.arrangement, f"{item.rows:,}", f"{item.calls:,}", _price(item.cost))
        for item in planned
    ]
    console.print(filled_table(_PLAN_HEADINGS, rows, left=("asked",)))
    console.print(as_text(calls_line(planned)), soft_wrap=True)


def calls_line(planned: list[PlannedArrangement]) -> str:
    """Return how many calls are missing, and what they should cost."""
    calls = sum(item.calls for item in planned)
    costs = [item.cost for item in planned]
    known = [cost for cost in costs if cost is not None]
    cost = sum(known) if len(known) == len(costs) else None
    return f"{calls:,} calls, {_price(cost)}"


def _price(cost: float | None) -> str:
    if cost is None:
        return "price not known"
    return f"about {dollars(cost)}" if cost else "free"


def _ask_for_calls(
    planned: list[PlannedArrangement],
    console: Console,
) -> None:
    """Ask whether to pay for calls. Raise `ConfigError` where nobody allows them."""
    if not any(item.calls for item in planned):
        return
    said = calls_line(planned)
    if not sys.stdin.isatty():
        raise ConfigError(
            f"certifying this takes {said}; --yes makes them, --limit takes fewer "
            "prompts, and --plan says more"
        )
    console.print(as_text(said), soft_wrap=True)
    if not typer.confirm("Make them?"):
        raise ConfigError("nothing was called, and nothing is certified")


@contextlib.contextmanager
def _progress(
    certification: ModelCertification,
    count: int,
    console: Console,
) -> Iterator[None]:
    """Show how far the sampling is, in a terminal."""
    if not console.is_terminal:
        yield
        return

    class _Line:
        def __rich__(self) -> Text:
            counts = certification.progress.stages().values()
            rows = sum(item.computed for item in counts)
            name = certification.current or "starting"
            at = certification.sampled
            return as_text(f"{at} of {count} ways asked; {name}: {rows:,} answers")

    with Live(_Line(), console=console, transient=True, refresh_per_second=4):
        yield


def print_certification(
    found: Certification,
    console: Console,
) -> None:
    """Print what a certification found."""
    style = "bold red"
    if found.holds:
        style = "bold yellow" if found.cannot_tell else "bold green"
    name = found.target
    if found.model and found.model != found.target:
        name = f"{name}  {found.model}"
    console.print(
        assemble((name, "bold"), "  ", (found.verdict, style)), soft_wrap=True
    )
    console.print(filled_table(CHECK_HEADINGS, check_rows(found), left=("asked",)))
    for label, lines in (
        ("found     ", found_lines(found)),
        ("differs   ", difference_lines(found)),
        ("failed    ", failure_lines(found)),
        ("note      ", [*found.notes, how_line(found)]),
    ):
        for line in lines:
            console.print(assemble((label, "dim"), line), soft_wrap=True)


if __name__ == "__main__":
    app()
