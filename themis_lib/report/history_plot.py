"""A metric over the runs of an experiment, drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.report.history import Series, ticks_over
from themis_lib.runs.results import SummaryRow

_ROWS = 12
_MOST_TICKS = 5
_WIDEST_STEP = 6
_LEAST_WIDTH = 3


def history_plot(
    series: Series,
    *,
    width: int,
) -> list[str]:
    """The plot as lines, a dot for each mean, a bar for its interval, oldest run to the
    left.

    They are no wider than `width` if that has room for an axis and a column. Where
    there are more runs than columns, neighbours share one: its bar covers all of their
    intervals. An arrow stands below the runs whose settings differ from the run before.
    """
    rows = [row for _, row in series.points]
    ticks = ticks_over(rows, most=_MOST_TICKS)
    digits = next(
        digits
        for digits in range(13)
        if all(round(tick, digits) == tick for tick in ticks)
    )
    labels = [f"{tick:.{digits}f}" for tick in ticks]
    margin = max(map(len, labels)) + 2
    columns = _run_columns(len(rows), max(width - margin, _LEAST_WIDTH))
    per_tick = max(_ROWS // (len(ticks) - 1), 1)
    height = per_tick * (len(ticks) - 1) + 1
    grid = [[" "] * (columns[-1] + 2) for _ in range(height)]
    for bar in (True, False):  # dots over bars
        for row, column in zip(rows, columns, strict=True):
            _draw_mark(
                grid,
                row,
                column,
                ticks,
                bar=bar,
            )
    lines = []
    for at, cells in enumerate(grid):
        level, rest = divmod(height - 1 - at, per_tick)
        label = f"{labels[level]} ┤" if rest == 0 else "│"
        lines.append(f"{label:>{margin}}" + "".join(cells).rstrip())
    lines.append(f"{'└':>{margin}}" + "─" * (columns[-1] + 2))
    return lines + _lines_below(series, columns, margin)


def _run_columns(
    count: int,
    width: int,
) -> list[int]:
    """The column of each run; several runs to a column where there are too many."""
    step = min(_WIDEST_STEP, (width - 2) // count)
    if step:
        return [1 + step * at for at in range(count)]
    return [1 + at * (width - 2) // count for at in range(count)]


def _draw_mark(
    grid: list[list[str]],
    row: SummaryRow,
    column: int,
    ticks: Sequence[float],
    *,
    bar: bool,
) -> None:
    """One run's bar or dot."""

    def line(value: float) -> int:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return round((len(grid) - 1) * (1 - share))

    if bar and row.low is not None and row.high is not None:
        for at in range(line(row.high), line(row.low) + 1):
            grid[at][column] = "│"
    if not bar and row.mean is not None:
        grid[line(row.mean)][column] = "●"


def _lines_below(
    series: Series,
    columns: Sequence[int],
    margin: int,
) -> list[str]:
    """The arrows, and when the first and the last run started."""
    marks = [" "] * (columns[-1] + 1)
    for (run, _), column in zip(series.points, columns, strict=True):
        marks[column] = "↑" if run.changes else marks[column]
    first, last = (
        run.manifest.started_at[:10] for run, _ in (series.points[0], series.points[-1])
    )
    gap = max(columns[-1] + 2 - len(first) - len(last), 1)
    ends = first if first == last else f"{first}{' ' * gap}{last}"
    lines = ["".join([" " * margin, *marks]).rstrip()] if "↑" in marks else []
    return [*lines, " " * margin + ends]
