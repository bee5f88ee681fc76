"""Label the answers of a run: what people say, to compare with what a judge says.

    python -m flows.label RUN [--metric METRIC] [--labeller NAME] [--count N]
                          [--sample uniform|active] [--seed N]
                          [--status | --html FILE | --import FILE]
                          [--store URL] [--option KEY=VALUE …]

One item at a time in the terminal, without the model's name and the judge's verdict;
needs the extra `label`. Each label is kept when its key is pressed: quit at any time, and
the same command goes on. `--html` writes the items to a page for a browser, offline;
`--import` takes the file of labels that the page saves. `--status` shows how many labels
there are and how far people agree. Exit codes: 0 good, 2 bad input.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from flows.opening import (
    Options,
    RunName,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from flows.terminal import as_text, filled_table, open_console
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.errors import ConfigError
from themis_lib.labels.exchange import import_labels
from themis_lib.labels.session import DEFAULT_COUNT, LabelSession
from themis_lib.labels.status import LabelStatus, label_status
from themis_lib.runs.find_run import find_run

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def label(
    run: RunName,
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    metric: Annotated[
        str | None,
        typer.Option(help="The metric; needed where several could be meant."),
    ] = None,
    labeller: Annotated[
        str | None,
        typer.Option(help="Your name or alias; the user of this machine without it."),
    ] = None,
    count: Annotated[
        int,
        typer.Option(min=1, help="Items to label in all, earlier sessions included."),
    ] = DEFAULT_COUNT,
    sample: Annotated[
        Literal["uniform", "active"] | None,
        typer.Option(help="Draw items alike, or uncertain scores more often."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="The seed of the draw."),
    ] = None,
    status: Annotated[
        bool,
        typer.Option("--status", help="Show what is labelled, and label nothing."),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the items to a page, to label them in a browser."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--import", help="Take the labels that such a page has saved."),
    ] = None,
) -> None:
    """Label the answers of a run, blind, in the terminal or in a browser."""
    console = open_console()
    with one_line_errors():
        _check_one_of({"--status": status, "--html": html, "--import": labels})
        result = find_run(opened(store, option), run)
        if status:
            _print_status(label_status(result, metric), console)
            return
        if labels is not None:
            imported = import_labels(result, labels, metric, labeller=labeller)
            console.print(as_text(imported.line), soft_wrap=True)
            return
        session = LabelSession.of(
            result,
            metric,
            labeller=labeller,
            method=sample,
            seed=seed,
            count=count,
        )
        if html is not None:
            # Imported late: only a page needs its templates.
            from themis_lib.report.label_page import label_page

            write_text(html, label_page(session, labeller=labeller or ""))
            console.print(as_text(f"written to {html}"), soft_wrap=True)
            return
        _label_in_terminal(session, console)


def _check_one_of(options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)} do different things; write one of them"
        )


def _label_in_terminal(
    session: LabelSession,
    console: Console,
) -> None:
    if find_spec("textual") is None:
        raise ConfigError(
            "labelling in the terminal needs Textual: pip install 'themis-flows[label]'; "
            "--html FILE does without it"
        )
    # Textual draws on standard error.
    if not (console.is_terminal and sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(
            "labelling needs a terminal; --html FILE writes a page instead"
        )
    if session.current is not None:
        # Imported late: the extra may be missing.
        from flows.label_app import LabelApp

        LabelApp(session).run()
    console.print(as_text(_closing_line(session)), soft_wrap=True)


def _closing_line(session: LabelSession) -> str:
    now = sum(label.value is not None for label in session.given)
    line = (
        f"{now:,} labelled now, {session.labelled:,} of {session.count:,} in all "
        f"as {session.labeller!r}"
    )
    if session.current is not None:
        return f"{line}; the same command goes on"
    if session.count < len(session.items.contents):
        return f"{line}; `--count` labels more of {len(session.items.contents):,}"
    return line


def _print_status(
    status: LabelStatus,
    console: Console,
) -> None:
    for line in status.lines():
        console.print(as_text(line), soft_wrap=True)
    if not status.labellers:
        return
    headings = ("labeller", "labelled", "skipped", "stale", "last")
    people = [person.cells() for person in status.labellers]
    console.print(filled_table(headings, people, left=headings[:1]))
    if status.agreements:
        headings = ("labellers", "both", "agree", "kappa", "95 % interval")
        pairs = [pair.cells() for pair in status.agreements]
        console.print(filled_table(headings, pairs, left=headings[:1]))


if __name__ == "__main__":
    app()
