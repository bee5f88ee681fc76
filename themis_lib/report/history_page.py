"""The history of experiments as one HTML page.

Each metric is drawn over the runs of each experiment; below are the runs themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from themis_lib.errors import InputError
from themis_lib.report.history import (
    PastRun,
    Series,
    series_of,
    ticks_over,
)
from themis_lib.report.html_charts import Axis
from themis_lib.report.html_page import render_page
from themis_lib.report.markdown import dollars
from themis_lib.runs.results import SummaryRow

_MOST_TICKS = 6


@dataclass(frozen=True)
class _Mark:
    """One run in a plot, placed in percent from the left and from the top.

    A place is `None` where there is no number.
    """

    run: PastRun
    row: SummaryRow
    x: float
    y: float | None
    top: float | None
    bottom: float | None


@dataclass(frozen=True)
class _Plot:
    series: Series
    # Each tick with its place from the top.
    ticks: Sequence[tuple[float, float]]
    marks: Sequence[_Mark]
    # The ends of each line between two neighbours.
    ways: Sequence[tuple[_Mark, _Mark]]


def history_html(
    runs: Sequence[PastRun],
    metric_id: str | None = None,
) -> str:
    """Return a self-contained page of some runs, with a plot of one or every metric.

    The runs of each experiment have a part of their own. The same runs give the same
    bytes. Raises `InputError` where there are no runs, and for a metric that none has.
    """
    if not runs:
        raise InputError("there are no runs to draw; choose others")
    if metric_id is not None:
        # It refuses a metric that no experiment has.
        series_of(runs, metric_id)
    by_name: dict[str, list[PastRun]] = {}
    for run in runs:
        by_name.setdefault(run.manifest.name, []).append(run)
    experiments = []
    for name, of_name in by_name.items():
        plotted = _every_series(of_name, metric_id)
        # With a metric, experiments without it are of no interest.
        if plotted or metric_id is None:
            experiments.append(_experiment_part(name, of_name, plotted))
    return render_page(
        "history.html.jinja",
        scripts=(),
        data="",
        experiments=experiments,
    )


def _experiment_part(
    name: str,
    runs: Sequence[PastRun],
    plotted: Sequence[Series],
) -> dict[str, Any]:
    """Return what the page shows of one experiment."""
    rows = []
    # The plots read from left to right, the list from the newest run down.
    for run in reversed(runs):
        manifest = run.manifest
        costs = None
        if manifest.cost_paid is not None and manifest.cost_saved is not None:
            unpriced = manifest.unpriced
            costs = (
                dollars(manifest.cost_paid, leaves_out=unpriced),
                dollars(
                    manifest.cost_saved,
                    leaves_out=unpriced,
                ),
            )
        rows.append((run, costs))
    return {
        "name": name,
        "plots": list(map(_plot_of, plotted)),
        "runs": rows,
    }


def _every_series(
    runs: Sequence[PastRun],
    metric_id: str | None,
) -> list[Series]:
    """Return the series of one metric, or of every metric, of one experiment's runs."""
    # A dict as a set that keeps the order in which metrics first appear.
    metric_ids: dict[str, None] = {}
    for run in runs:
        for row in run.scores:
            if metric_id in (None, row.metric_id):
                metric_ids[row.metric_id] = None
    found: list[Series] = []
    for each in metric_ids:
        found += series_of(runs, each)
    return found


def _plot_of(series: Series) -> _Plot:
    numbers = ticks_over(
        [row for _, row in series.points],
        most=_MOST_TICKS,
    )
    axis = Axis(
        numbers[0],
        numbers[-1],
        tuple(numbers),
    )

    def from_top(value: float | None) -> float | None:
        # The axis grows upwards, places on a page grow downwards.
        return None if value is None else round(100 - axis.at(value), 3)

    marks = []
    for at, (run, row) in enumerate(series.points):
        # Each run has an equal share of the width and is in the middle of it.
        middle = 100 * (at + 0.5) / len(series.points)
        mark = _Mark(
            run=run,
            row=row,
            x=round(middle, 3),
            y=from_top(row.mean),
            top=from_top(row.high),
            bottom=from_top(row.low),
        )
        marks.append(mark)
    ways = []
    for before, mark in pairwise(marks):
        # A run without a mean leaves a gap in the line.
        if before.y is not None and mark.y is not None:
            ways.append((before, mark))
    ticks = [(number, 100 - axis.at(number)) for number in numbers]
    return _Plot(
        series,
        ticks,
        marks,
        ways,
    )
