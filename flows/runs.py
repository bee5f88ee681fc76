"""List the runs of a store, and show how a metric went over the runs of one experiment.

    python -m flows.runs [--store URL] [--name EXPERIMENT] [--status STATUS] [--since DATE]
                         [--metric METRIC] [--html FILE]

For each run, oldest first: when it started (UTC), how it ended, what it cost, the
settings that differ from the experiment's run before, and its scores with 95 %
intervals. Exit codes: 0 listed, 2 bad input.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from flows.opening import (
    DEFAULT_STORE,
    Options,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from themis_lib import RunStatus
from themis_lib.errors import first_few
from themis_lib.report.history import PastRun, past_runs, series_of, unreadable_runs
from themis_lib.report.history_page import history_html
from themis_lib.report.history_plot import history_plot
from themis_lib.report.markdown import (
    SUMMARY_HEADINGS,
    dollars,
    left_out,
    summary_cells,
)

_STYLES = {
    "completed": "green",
    "partial_failure": "yellow",
    "failed": "red",
    "running": "cyan",
}
_MOST_CHANGES = 4
_WIDEST_PLOT = 100

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def runs(
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    name: Annotated[
        str | None, typer.Option(help="Only runs of this experiment.")
    ] = None,
    status: Annotated[
        RunStatus | None, typer.Option(help="Only runs that ended so.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Only runs that started then or later, in UTC.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"],
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Only this metric, with a plot.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write the runs and every metric's plot to a file."),
    ] = None,
) -> None:
    """List the runs of a store; with a metric, show how it went."""
    console = Console()
    with one_line_errors():
        source = opened(store, option)
        found = past_runs(
            source,
            name=name,
            status=status,
            since=since.replace(tzinfo=UTC) if since else None,
        )
        series = series_of(found, metric) if metric else []
        for run in found:
            for line in _run_lines(run, metric):
                console.print(
                    line,
                    soft_wrap=True,
                    highlight=False,
                )
        for one in series:
            place = f"{one.metric_id} on {one.dataset_id}"
            heading = f"{place}, {len(one.points):,} run(s) of {one.name}"
            console.print(Text(f"\n{heading}\n"), soft_wrap=True)
            for drawn in history_plot(one, width=min(console.width, _WIDEST_PLOT)):
                plotted = Text(drawn, style="dim")
                plotted.highlight_regex("●", "not dim bold cyan")
                console.print(plotted, soft_wrap=True)
        for line in _closing_lines(found, unreadable_runs(source)):
            console.print(
                line,
                soft_wrap=True,
                highlight=False,
            )
        if html:
            write_text(html, history_html(found, metric))
            console.print(Text(f"written to {html}"), soft_wrap=True)


def _run_lines(
    run: PastRun,
    metric: str | None,
) -> Iterator[Text]:
    """A run: its name and end, then what changed, then its scores."""
    manifest = run.manifest
    started = datetime.fromisoformat(manifest.started_at).astimezone(UTC)
    status = manifest.status.value
    yield Text.assemble(
        manifest.run_id,
        f"  {started:%Y-%m-%d %H:%M}  ",
        (f"{status:<15}", _STYLES[status]),
        f"  {manifest.name}",
    )
    if manifest.error:
        yield Text(f"    {manifest.error}", style="red")
    for change in run.changes[:_MOST_CHANGES]:
        yield Text(f"    {change}", style="yellow")
    if len(run.changes) > _MOST_CHANGES:
        yield Text(
            f"    … and {len(run.changes) - _MOST_CHANGES} more changes", style="yellow"
        )
    for row in run.scores:
        if metric in (None, row.metric_id):
            cells = dict(zip(SUMMARY_HEADINGS, summary_cells(row), strict=True))
            label = f"{row.metric_id} on {row.dataset_id}"
            errors = f"  {row.errors:,} errors" if row.errors else ""
            yield Text(
                f"    {label:<32}  {cells['mean']}  ({cells['95 % interval']}){errors}"
            )
    paid, saved = manifest.cost_paid, manifest.cost_saved
    if paid is not None and saved is not None:
        yield Text(
            f"    {dollars(paid)} paid, {dollars(saved)} saved{left_out(manifest)}",
            style="dim",
        )


def _closing_lines(
    found: list[PastRun],
    unreadable: list[str],
) -> Iterator[Text]:
    if not found:
        yield Text("no such runs")
    if unreadable:
        yield Text(
            f"{len(unreadable):,} run(s) without a record that can be read: "
            f"{first_few(unreadable)}",
            style="yellow",
        )


if __name__ == "__main__":
    app()
