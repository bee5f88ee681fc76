"""The runs of an experiment as one HTML page: each metric drawn over the runs, and
below it the runs themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from themis_lib.errors import InputError
from themis_lib.report.history import PastRun, Series, series_of, ticks_over
from themis_lib.report.html_charts import Axis
from themis_lib.report.html_page import render_page
from themis_lib.report.markdown import dollars
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.results import SummaryRow

_MOST_TICKS = 6


@dataclass(frozen=True)
class _Mark:
    """One run in a plot; places are percentages from the left and from the top, null
    where there is no number.
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
    ticks: Sequence[tuple[float, float]]
    marks: Sequence[_Mark]
    ways: Sequence[tuple[_Mark, _Mark]]


def history_html(
    runs: Sequence[PastRun],
    metric_id: str | None = None,
) -> str:
    """A self-contained page of some runs, with a plot of one metric, or of each that
    they have.

    The same runs give the same bytes. Raises `InputError` where there are no runs,
    where runs of several experiments have a metric, and for a metric that none has.
    """
    if not runs:
        raise InputError("there are no runs to draw; choose others")
    if metric_id is not None:
        plotted = series_of(runs, metric_id)
        runs = [run for run in runs if run.manifest.name == plotted[0].name]
    else:
        names = {run.manifest.name for run in runs}
        if len(names) > 1:
            raise InputError(
                f"a page shows one experiment, and there are {len(names)}; give a name or a metric"
            )
        metric_ids = dict.fromkeys(row.metric_id for run in runs for row in run.scores)
        plotted = [series for name in metric_ids for series in series_of(runs, name)]
    costs = [_paid_and_saved(run.manifest) for run in runs]
    return render_page(
        "history.html.jinja",
        scripts=(),
        data="",
        name=runs[0].manifest.name,
        plots=list(map(_make_plot, plotted)),
        runs=list(zip(runs, costs, strict=True))[::-1],
    )


def _paid_and_saved(manifest: Manifest) -> tuple[str, str] | None:
    paid, saved, unpriced = manifest.cost_paid, manifest.cost_saved, manifest.unpriced
    if paid is None or saved is None:
        return None
    return dollars(paid, leaves_out=unpriced), dollars(saved, leaves_out=unpriced)


def _make_plot(series: Series) -> _Plot:
    ticks = ticks_over([row for _, row in series.points], most=_MOST_TICKS)
    axis = Axis(ticks[0], ticks[-1], tuple(ticks))
    count = len(series.points)

    def from_top(value: float | None) -> float | None:
        return None if value is None else round(100 - axis.at(value), 3)

    marks = [
        _Mark(
            run,
            row,
            round(100 * (at + 0.5) / count, 3),
            from_top(row.mean),
            from_top(row.high),
            from_top(row.low),
        )
        for at, (run, row) in enumerate(series.points)
    ]
    ways = [
        (before, mark)
        for before, mark in pairwise(marks)
        if before.y is not None and mark.y is not None
    ]
    return _Plot(
        series,
        [(tick, 100 - axis.at(tick)) for tick in ticks],
        marks,
        ways,
    )
