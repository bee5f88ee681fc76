"""Rank many runs by one metric: strengths, possible places, and who beats whom.

    python -m flows.rank RUN RUN [RUN …] [--metric METRIC] [--cluster-by COLUMN]
                         [--resamples N] [--seed N] [--html FILE] [--markdown FILE]
                         [--json FILE] [--store URL]

RUN is as in `themis compare`; 'NAME-*' names the cells of a matrix. On each case the
better score of two runs wins; under `builtin/judge_pairwise` a run plays against what
the judge compared it with. Exit codes: 0 ranked; 2 bad input.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from flows.opening import (
    HtmlFile,
    JsonFile,
    MarkdownFile,
    Options,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from flows.terminal import assemble, filled_table, open_console
from themis_lib.comparison.rank_runs import RESAMPLES, rank_runs
from themis_lib.comparison.ranking import Ranking
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.report.ranking_markdown import (
    RANK_HEADINGS,
    chance_headings,
    chance_rows,
    rank_rows,
    ranking_lines,
    ranking_markdown,
)
from themis_lib.runs.find_run import find_runs

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)

Runs = Annotated[
    list[str],
    typer.Argument(help="The runs to rank: two or more."),
]
Metric = Annotated[
    str | None,
    typer.Option(help="The metric to rank by, where the runs share several."),
]
ClusterBy = Annotated[
    str | None,
    typer.Option(help="A metadata column: its cases are drawn together."),
]
Resamples = Annotated[
    int,
    typer.Option(min=1, help="Resamples of the cases for intervals and places."),
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="The seed of the resamples."),
]


@app.command()
def main(
    runs: Runs,
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    metric: Metric = None,
    cluster_by: ClusterBy = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    json: JsonFile = None,
) -> None:
    """Rank runs by one metric: strengths, possible places, and who beats whom."""
    with one_line_errors():
        ranking = rank_runs(
            *find_runs(opened(store, option), runs),
            metric_id=metric,
            cluster_by=cluster_by,
            resamples=resamples,
            seed=seed,
        )
        print_ranking(ranking, open_console())
        if markdown is not None:
            write_text(markdown, ranking_markdown(ranking))
        if json is not None:
            write_text(json, ranking.model_dump_json(indent=2) + "\n")
        if html is not None:
            # Imported late: only a page needs its templates.
            from themis_lib.report.html_ranking import ranking_html

            write_text(html, ranking_html(ranking))


def print_ranking(
    ranking: Ranking,
    console: Console,
) -> None:
    """Print the strengths, who beats whom, and what the numbers are."""
    console.print(filled_table(RANK_HEADINGS, rank_rows(ranking), left=("run",)))
    console.print()
    console.print(
        filled_table(chance_headings(ranking), chance_rows(ranking), left=("beats",))
    )
    console.print()
    for line in ranking_lines(ranking):
        console.print(assemble(("ranking   ", "dim"), line), soft_wrap=True)


if __name__ == "__main__":
    app()
