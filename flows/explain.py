"""Explain why the scores of two runs differ: each changed setting's share.

    python -m flows.explain BASELINE RUN [--metric METRIC …] [--cluster-by COLUMN]
                            [--yes] [--orders N] [--seed N] [--html FILE]
                            [--markdown FILE] [--json FILE] [--store URL]

The settings that differ (data, prompt, few-shot, model, samples, parser, judge, metric,
reducer) are factors. The experiments between the two runs are evaluated from the
store; what it lacks is priced first, and asked for. Exit codes: 0 explained; 2 bad
input, or paid calls that nobody allowed.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from flows.opening import (
    HtmlFile,
    JsonFile,
    MarkdownFile,
    Options,
    RunName,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from flows.terminal import as_text, assemble, filled_table, open_console
from themis_lib.comparison.attribution import (
    SAMPLED_ORDERS,
    MixedExperiments,
    lacks,
)
from themis_lib.comparison.explanation import Explanation
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.errors import ConfigError
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.report.explanation_markdown import (
    SHARE_HEADINGS,
    explanation_markdown,
    factor_lines,
    how_lines,
    score_line,
    share_rows,
)
from themis_lib.runs.find_run import find_runs

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)

Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="A metric to explain; all that both runs have."),
]
ClusterBy = Annotated[
    str | None,
    typer.Option(help="A metadata column: its cases count as dependent."),
]
IsAllowed = Annotated[
    bool,
    typer.Option("--yes", help="Pay for what the store lacks without asking."),
]
Orders = Annotated[
    int,
    typer.Option(min=1, help="Random orders, where more than six settings differ."),
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="The seed of the random orders."),
]


@app.command()
def main(
    baseline: RunName,
    run: RunName,
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    metric: Metrics = None,
    cluster_by: ClusterBy = None,
    yes: IsAllowed = False,
    orders: Orders = SAMPLED_ORDERS,
    seed: Seed = 0,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    json: JsonFile = None,
) -> None:
    """Explain why two runs score differently: each changed setting's share."""
    console = open_console()
    # Modules that an experiment names are looked for where the command is called.
    sys.path.insert(0, "")
    with one_line_errors():
        before, after = find_runs(opened(store, option), [baseline, run])
        mixed = MixedExperiments.of(
            before,
            after,
            metric_ids=metric or (),
            cluster_by=cluster_by,
            orders=orders,
            seed=seed,
        )
        if not yes:
            _ask_for_calls(mixed, console)
        explanation = run_in_new_loop(mixed.explain)
        _print_explanation(explanation, console)
        if markdown is not None:
            write_text(markdown, explanation_markdown(explanation))
        if json is not None:
            write_text(json, explanation.model_dump_json(indent=2) + "\n")
        if html is not None:
            # Imported late: only a page needs its templates.
            from themis_lib.report.html_explanation import explanation_html

            write_text(html, explanation_html(explanation))


def _ask_for_calls(
    mixed: MixedExperiments,
    console: Console,
) -> None:
    """Ask whether to pay for what the cells lack. Raise `ConfigError` if not."""
    calls, dollars = lacks(mixed.plan())
    if not calls:
        return
    names = ", ".join(factor.name for factor in mixed.factors)
    price = "price not known" if dollars is None else f"about ${dollars:,.2f}"
    console.print(
        as_text(
            f"the experiments between the two runs ({names}) lack up to {calls:,} calls, "
            f"{price}"
        )
    )
    if not sys.stdin.isatty():
        raise ConfigError(f"{calls:,} calls are missing; --yes makes them")
    if not typer.confirm("Make them?"):
        raise ConfigError("nothing was called, and nothing is explained")


def _print_explanation(
    explanation: Explanation,
    console: Console,
) -> None:
    names = explanation.baseline_name, explanation.candidate_name
    console.print(assemble((f"{names[0]} → {names[1]}", "bold")))
    for score in explanation.scores:
        console.print()
        console.print(as_text(score_line(score)), soft_wrap=True)
        texts = ("factor", "moved most")
        console.print(filled_table(SHARE_HEADINGS, share_rows(score), left=texts))
    for line in factor_lines(explanation):
        console.print(assemble(("differs   ", "dim"), line), soft_wrap=True)
    for line in how_lines(explanation):
        console.print(assemble(("shares    ", "dim"), line), soft_wrap=True)


if __name__ == "__main__":
    app()
