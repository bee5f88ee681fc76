"""List the runs of a store, and draw a metric over the runs of an experiment.

    python -m flows.runs [--store URL] [--name EXPERIMENT] [--status STATUS]
                         [--since DATE] [--metric METRIC] [--html FILE]

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
from rich.text import Text

from flows.opening import Options, StoreUrl, one_line_errors, opened, write_text
from flows.terminal import as_text, assemble, open_console
from themis_lib import RunStatus
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.errors import first_few
from themis_lib.report.cost_table import price_note
from themis_lib.report.history import (
    PastRun,
    Series,
    past_runs,
    series_of,
    unreadable_runs,
)
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
    "waiting": "yellow",
    "failed": "red",
    "running": "cyan",
}
# A run after many edits would fill the screen; `--html` shows all of them.
_MOST_CHANGES = 4
# Wider, a plot gets no clearer.
_WIDEST_PLOT = 100
_SINCE_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def runs(
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    name: Annotated[
        str | None,
        typer.Option(help="Only runs of this experiment."),
    ] = None,
    status: Annotated[
        RunStatus | None,
        typer.Option(help="Only runs that ended so."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Only runs that started then or later, in UTC.",
            formats=_SINCE_FORMATS,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Only this metric, with a plot."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write the runs and every metric's plot to a file."),
    ] = None,
) -> None:
    """List the runs of a store; with a metric, also draw it over the runs."""
    console = open_console()
    if since is not None:
        # The command line has no time zone, and records are in UTC.
        since = since.replace(tzinfo=UTC)
    with one_line_errors():
        source = opened(store, option)
        found = past_runs(
            source,
            name=name,
            status=status,
            since=since,
        )
        lines: list[Text] = []
        # Before anything is printed: an unknown metric is one line, not half a list.
        series = series_of(found, metric) if metric else []
        for run in found:
            lines += run_lines(run, metric)
        for one in series:
            lines += plot_lines(one, width=min(console.width, _WIDEST_PLOT))
        if not found:
            lines.append(as_text("no such runs"))
        unreadable = unreadable_runs(source)
        if unreadable:
            count = f"{len(unreadable):,} run(s) without a record that can be read"
            lines.append(as_text(f"{count}: {first_few(unreadable)}", style="yellow"))
        for line in lines:
            console.print(
                line,
                soft_wrap=True,
                highlight=False,
            )
        if html:
            write_text(html, history_html(found, metric))
            console.print(as_text(f"written to {html}"), soft_wrap=True)


def run_lines(
    run: PastRun,
    metric: str | None,
) -> Iterator[Text]:
    """Yield the lines of a run: its end, what changed, its scores, and its cost.

    With a metric, only that metric's scores.
    """
    manifest = run.manifest
    started = datetime.fromisoformat(manifest.started_at).astimezone(UTC)
    status = manifest.status.value
    yield assemble(
        manifest.run_id,
        f"  {started:%Y-%m-%d %H:%M}  ",
        (f"{status:<15}", _STYLES[status]),
        f"  {manifest.name}",
    )
    if manifest.error:
        yield as_text(f"    {manifest.error}", style="red")
    for change in run.changes[:_MOST_CHANGES]:
        yield as_text(f"    {change}", style="yellow")
    more = len(run.changes) - _MOST_CHANGES
    if more > 0:
        yield as_text(f"    … and {more} more changes", style="yellow")
    for row in run.scores:
        if metric not in (None, row.metric_id):
            continue
        cells = dict(zip(SUMMARY_HEADINGS, summary_cells(row), strict=True))
        label = f"{row.metric_id} on {row.dataset_id}"
        score = f"{cells['mean']}  ({cells['95 % interval']})"
        # A mean is never shown without the cases that it leaves out.
        if row.no_answer:
            score += f"  {row.no_answer:,} no answer"
        if row.errors:
            score += f"  {row.errors:,} failed"
        yield as_text(f"    {label:<32}  {score}")
    paid = manifest.cost_paid
    saved = manifest.cost_saved
    # Both are null where no price is known; 0 would say that it was free.
    if paid is not None and saved is not None:
        note = f"{left_out(manifest)}{price_note(manifest)}"
        cost = f"{dollars(paid)} paid, {dollars(saved)} saved{note}"
        yield as_text(f"    {cost}", style="dim")


def plot_lines(
    series: Series,
    *,
    width: int,
) -> Iterator[Text]:
    """Yield the plot of a metric over the runs of an experiment, below its heading."""
    place = f"{series.metric_id} on {series.dataset_id}"
    yield Text()
    yield as_text(f"{place}, {len(series.points):,} run(s) of {series.name}")
    yield Text()
    for drawn in history_plot(series, width=width):
        line = as_text(drawn, style="dim")
        line.highlight_regex("●", "not dim bold cyan")
        yield line


if __name__ == "__main__":
    app()
