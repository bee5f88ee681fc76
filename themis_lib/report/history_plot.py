"""A metric over the runs of an experiment, drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from themis_lib.report.history import (
    Series,
    ticks_over,
)
from themis_lib.runs.results import SummaryRow

# All lengths are in characters.
_ROWS = 12
_MOST_TICKS = 5
_WIDEST_STEP = 6
_LEAST_WIDTH = 3


def history_plot(
    series: Series,
    *,
    width: int,
) -> list[str]:
    """Return the plot as lines: a dot for each mean, a bar for its interval.

    The oldest run is at the left. Lines are no wider than `width` if that has room for
    an axis and a column. Where there are more runs than columns, neighbours share one,
    whose bar covers all of their intervals. An arrow is below the runs whose settings
    differ from the run before.
    """
    rows = [row for _, row in series.points]
    ticks = ticks_over(rows, most=_MOST_TICKS)
    labels = tick_labels(ticks)
    # Two more for a space and the axis.
    margin = max(map(len, labels)) + 2
    columns = run_columns(
        len(rows),
        max(width - margin, _LEAST_WIDTH),
    )
    per_tick = max(_ROWS // (len(ticks) - 1), 1)
    height = per_tick * (len(ticks) - 1) + 1
    scale = _Scale(
        low=ticks[0],
        high=ticks[-1],
        height=height,
    )
    grid = draw_grid(rows, columns, scale)
    lines = []
    for at, cells in enumerate(grid):
        # The grid is drawn from the top, ticks count from the bottom.
        level, rest = divmod(height - 1 - at, per_tick)
        label = f"{labels[level]} ┤" if rest == 0 else "│"
        lines.append(f"{label:>{margin}}" + "".join(cells).rstrip())
    lines.append(f"{'└':>{margin}}" + "─" * (columns[-1] + 2))
    return lines + _lines_below(series, columns, margin)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Return numbers as text, with the fewest decimals that show each of them exactly.

    >>> tick_labels([0.0, 0.25, 0.5])
    ['0.00', '0.25', '0.50']
    """
    # Ticks are rounded to twelve decimals.
    digits = 0
    while digits < 12 and any(round(tick, digits) != tick for tick in ticks):
        digits += 1
    return [f"{tick:.{digits}f}" for tick in ticks]


def run_columns(
    count: int,
    width: int,
) -> list[int]:
    """Return the column of each run; runs share columns where there are too many.

    >>> run_columns(3, 80), run_columns(6, 5)
    ([1, 7, 13], [1, 1, 2, 2, 3, 3])
    """
    # A free column at the left keeps marks off the axis; one at the right ends it.
    room = width - 2
    step = min(_WIDEST_STEP, room // count)
    columns = []
    for at in range(count):
        # Without room for a column each, runs are spread evenly.
        offset = step * at if step else at * room // count
        columns.append(1 + offset)
    return columns


@dataclass(frozen=True)
class _Scale:
    """The lines of a grid, counted from the top, over a range of values."""

    low: float
    high: float
    height: int

    def line_of(self, value: float) -> int:
        """Return the line that shows a value."""
        share = (value - self.low) / (self.high - self.low)
        # Lines count from the top, where the highest value is.
        return round((self.height - 1) * (1 - share))


def draw_grid(
    rows: Sequence[SummaryRow],
    columns: Sequence[int],
    scale: _Scale,
) -> list[list[str]]:
    """Return the characters of the plot, a list for each line."""
    # A column is free at either end.
    width = columns[-1] + 2
    grid: list[list[str]] = []
    for _ in range(scale.height):
        grid.append([" "] * width)
    # All bars come first: a bar must not hide the dot of a run in the same column.
    for row, column in zip(rows, columns, strict=True):
        if row.low is None or row.high is None:
            continue
        top = scale.line_of(row.high)
        bottom = scale.line_of(row.low)
        for line in range(top, bottom + 1):
            grid[line][column] = "│"
    for row, column in zip(rows, columns, strict=True):
        if row.mean is None:
            continue
        line = scale.line_of(row.mean)
        grid[line][column] = "●"
    return grid


def _lines_below(
    series: Series,
    columns: Sequence[int],
    margin: int,
) -> list[str]:
    """Return the arrows, and when the first and the last run started."""
    marks = [" "] * (columns[-1] + 1)
    for (run, _), column in zip(series.points, columns, strict=True):
        # One changed run is enough for the column that several share.
        if run.changes:
            marks[column] = "↑"
    lines = []
    if "↑" in marks:
        lines.append(" " * margin + "".join(marks).rstrip())
    first_run, _ = series.points[0]
    last_run, _ = series.points[-1]
    # Of an ISO time the first ten characters are the date.
    first = first_run.manifest.started_at[:10]
    last = last_run.manifest.started_at[:10]
    if first == last:
        dates = first
    else:
        gap = max(
            columns[-1] + 2 - len(first) - len(last),
            1,
        )
        dates = first + " " * gap + last
    lines.append(" " * margin + dates)
    return lines
