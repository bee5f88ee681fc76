"""What `python -m flows.compare` shows, and which columns are worth showing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter, itemgetter

from rich import box
from rich.console import Console
from rich.table import Table

from flows.display import gates_text
from flows.terminal import as_text, assemble
from themis_lib.comparison.models import Comparison
from themis_lib.report.comparison_markdown import (
    DIFFERENCE_HEADINGS,
    FLIP_HEADINGS,
    SIDE_HEADINGS,
    TEST_HEADINGS,
    conclusion_line,
    difference_cells,
    flip_cells,
    flips_line,
    identity_lines,
    method_lines,
    power_lines,
    shown_flips,
    side_cells,
    test_cells,
    unmatched_line,
)
from themis_lib.runs.manifest import GateRecord

_VERDICT_STYLE = {
    "better": "green",
    "worse": "red",
    "same": "cyan",
    "cannot tell": "yellow",
}
#: Columns; a table in a log is as wide as it needs to be, up to this.
_LOG_WIDTH = 1000
_dataset_id = attrgetter("dataset_id")
_metric_id = attrgetter("metric_id")
# The cell of a value that does not exist.
_EMPTY = "—"
_TEXT_HEADINGS = {
    "run",
    "dataset",
    "slice",
    "metric",
    "case",
    "conclusion",
}


def print_comparison(
    comparison: Comparison,
    gates: Mapping[str, Sequence[GateRecord]],
    console: Console,
) -> None:
    """Print a comparison, and each run's gates by the run's id."""
    screen = _Screen(comparison, console)
    verdict = f"  {conclusion_line(comparison)} on {place_text(comparison)}"
    console.print(assemble((comparison.baseline.name, "bold"), verdict))
    screen.print_sides()
    differences = comparison.differences
    screen.print_rows(DIFFERENCE_HEADINGS, map(difference_cells, differences))
    screen.print_rows(TEST_HEADINGS, map(test_cells, differences))
    screen.print_lines("tests", method_lines(comparison))
    screen.print_lines("power", power_lines(comparison))
    screen.print_lines("differs", identity_lines(comparison))
    screen.print_lines("unmatched", map(unmatched_line, comparison.unmatched))
    if comparison.flips:
        screen.print_lines("flips", [flips_line(comparison)])
        screen.print_rows(FLIP_HEADINGS, map(flip_cells, shown_flips(comparison)))
    for run_id, records in gates.items():
        if not records:
            continue
        # With one candidate there is no doubt which run a gate is about.
        if len(gates) > 1:
            console.print(as_text(run_id, style="bold"))
        console.print(gates_text(records), soft_wrap=True)


def informative_columns(
    comparison: Comparison,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows without the columns that tell the reader nothing.

    Those are columns of dashes alone, and names of which the comparison has only one.
    """
    dataset_ids = set(map(_dataset_id, comparison.differences))
    metric_ids = set(map(_metric_id, comparison.differences))
    left_out: set[str] = set()
    # The baseline is a run too.
    if len(comparison.runs) == 2:
        left_out.add("run")
    if len(dataset_ids) == 1:
        left_out.add("dataset")
    if not comparison.slices:
        # The metric stays then: a row needs at least one name.
        left_out.add("slice")
    elif len(metric_ids) == 1:
        left_out.add("metric")
    # Holm's p is the one that accounts for the number of tests.
    if "Holm's p" in headings:
        left_out.add("p")
    is_kept: list[bool] = []
    for column, heading in enumerate(headings):
        cells = set(map(itemgetter(column), rows))
        is_kept.append(heading not in left_out and cells != {_EMPTY})
    kept_rows = [list(compress(row, is_kept)) for row in rows]
    return list(compress(headings, is_kept)), kept_rows


def place_text(comparison: Comparison) -> str:
    """Return the datasets of a comparison, and its metric where it has only one."""
    # Keys of a `dict` keep the order of the comparison; those of a set would not.
    datasets = dict.fromkeys(map(_dataset_id, comparison.differences))
    metrics = set(map(_metric_id, comparison.differences))
    if len(metrics) > 1:
        metrics.clear()
    return ", ".join([*datasets, *metrics])


@dataclass(frozen=True)
class _Screen:
    """A comparison and the console that it is printed to."""

    comparison: Comparison
    console: Console

    def print_sides(self) -> None:
        """Print the runs side by side, a column each, without lines of dashes alone."""
        cells = map(side_cells, self.comparison.runs)
        names, *lines = zip(SIDE_HEADINGS, *cells, strict=True)
        table = _make_table()
        for column, name in enumerate(names):
            # Folded, not cut: a run's id is copied from here.
            table.add_column(
                as_text(name),
                justify="right" if column else "left",
                overflow="fold",
            )
        for heading, *values in lines:
            if set(values) != {_EMPTY}:
                table.add_row(heading, *map(as_text, values))
        self.console.print(table)

    def print_rows(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[str]],
    ) -> None:
        """Print the informative columns of a table."""
        headings, rows = informative_columns(self.comparison, headings, list(rows))
        table = _make_table()
        for heading in headings:
            is_text = heading in _TEXT_HEADINGS
            table.add_column(
                heading,
                justify="left" if is_text else "right",
                overflow="fold",
                no_wrap=not is_text,
            )
        for row in rows:
            styled = [as_text(cell, style=_VERDICT_STYLE.get(cell, "")) for cell in row]
            table.add_row(*styled)
        if self.console.is_terminal:
            self.console.print(table)
            return
        # In a log nothing is gained by folding to a terminal's width.
        options = self.console.options.update(max_width=_LOG_WIDTH)
        width = self.console.measure(table, options=options).maximum
        self.console.print(
            table,
            width=max(width, self.console.width),
            crop=False,
        )

    def print_lines(
        self,
        name: str,
        lines: Iterable[str],
    ) -> None:
        """Print lines of text, each behind a name."""
        for line in lines:
            self.console.print(as_text(f"{name:<10}{line}"), soft_wrap=True)


def _make_table() -> Table:
    return Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
