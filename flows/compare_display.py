"""What `python -m flows.compare` shows, and which columns are worth showing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from operator import attrgetter, itemgetter

from rich.console import Console

from flows.display import gates_text
from flows.terminal import FittingTable, as_text, assemble
from themis_lib.comparison.models import Comparison
from themis_lib.report.comparison_markdown import (
    DIFFERENCE_HEADINGS,
    FLIP_HEADINGS,
    SIDE_HEADINGS,
    TEST_HEADINGS,
    changed_lines,
    conclusion_line,
    difference_cells,
    flip_cells,
    flips_line,
    identity_lines,
    method_lines,
    noise_lines,
    power_lines,
    run_labels,
    shown_flips,
    side_cells,
    test_cells,
    unmatched_line,
    verdict_lines,
)
from themis_lib.runs.manifest import GateRecord

_VERDICT_STYLE = {
    "better": "green",
    "worse": "red",
    "same": "cyan",
    "cannot tell": "yellow",
}
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
    screen.print_lines("noise", noise_lines(comparison))
    screen.print_lines("differs", identity_lines(comparison))
    screen.print_lines("unmatched", map(unmatched_line, comparison.unmatched))
    screen.print_lines("changed", changed_lines(comparison))
    if comparison.flips:
        screen.print_lines("flips", [flips_line(comparison)])
        screen.print_rows(FLIP_HEADINGS, map(flip_cells, shown_flips(comparison)))
    for run_id, records in gates.items():
        if not records:
            continue
        # With one candidate there is no doubt which run a gate is about.
        if len(gates) > 1:
            label = screen.labels.get(run_id, "")
            console.print(assemble((label, "bold"), f"  {run_id}"))
        console.print(gates_text(records), soft_wrap=True)


def print_verdict(
    comparison: Comparison,
    console: Console,
) -> None:
    """Print what a comparison found: differences, tests, and a sentence for each."""
    screen = _Screen(comparison, console)
    differences = comparison.differences
    screen.print_rows(DIFFERENCE_HEADINGS, map(difference_cells, differences))
    screen.print_lines("verdict", verdict_lines(comparison))
    screen.print_lines("tests", method_lines(comparison))


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

    @cached_property
    def labels(self) -> dict[str, str]:
        """A name for each run, by its id."""
        return run_labels(self.comparison.runs)

    def print_sides(self) -> None:
        """Print the runs side by side, a column each, without lines of dashes alone."""
        runs = self.comparison.runs
        facts = list(zip(SIDE_HEADINGS, *map(side_cells, runs), strict=True))
        facts = [fact for fact in facts if set(fact[1:]) != {_EMPTY}]
        table = FittingTable()
        table.add_column("")
        for run in runs:
            table.add_column(as_text(self.labels[run.run_id]), justify="right")
        for fact in facts:
            table.add_row(*map(as_text, fact))
        if table.fits(self.console, self.console.width):
            self.console.print(table)
            return
        # Too many to stand side by side.
        for at, run in enumerate(runs):
            self.console.print()
            self.console.print(as_text(self.labels[run.run_id], "bold"))
            said = [f"{name} {values[at]}" for name, *values in facts]
            self.console.print(as_text(", ".join(said)))

    def print_rows(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[str]],
    ) -> None:
        """Print the informative columns of a table, with runs by their labels."""
        headings, rows = informative_columns(self.comparison, headings, list(rows))
        table = FittingTable()
        for heading in headings:
            justify = "left" if heading in _TEXT_HEADINGS else "right"
            table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row in rows:
            cells = [self.labels.get(cell, cell) for cell in row]
            styled = [as_text(cell, _VERDICT_STYLE.get(cell, "")) for cell in cells]
            table.add_row(*styled)
        self.console.print(table)

    def print_lines(
        self,
        name: str,
        lines: Iterable[str],
    ) -> None:
        """Print lines of text, each behind a name."""
        for line in lines:
            for run_id, label in self.labels.items():
                line = line.replace(run_id, label)
            self.console.print(as_text(f"{name:<10}{line}"), soft_wrap=True)
