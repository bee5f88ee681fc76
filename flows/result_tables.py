"""The tables of a terminal: a run's summary, stages and errors, a plan, a policy's gates.

They are laid out for 80 columns: what all rows share is left out or put below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from flows.terminal import as_text, filled_table
from themis_lib.labels.corrected_scores import CorrectedScore
from themis_lib.report.corrected_table import CORRECTED_HEADINGS, corrected_cells
from themis_lib.report.figures import fixed
from themis_lib.report.markdown import (
    AGREEMENT_HEADINGS,
    STAGE_HEADINGS,
    SUMMARY_HEADINGS,
    agreement_cells,
    stage_counts,
    summary_cells,
)
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.summary import ALL_CASES

if TYPE_CHECKING:
    from themis_lib.comparison.policy_verdict import PolicyGate
    from themis_lib.explain.plan import StagePlan

_POLICY_HEADINGS = (
    "experiment",
    "gate",
    "place",
    "kind",
    "outcome",
    "estimate",
    "95 % interval",
)
# How far the judge agrees is put below, to leave room.
_CORRECTED_COLUMNS = {
    "metric",
    "raw mean",
    "corrected",
    "95 % interval",
    "labels",
    "worth",
    "kappa",
}
_PLAN_HEADINGS = ("stage", "rows", "cached", "to compute", "not known yet")
# Text is read from its left end; numbers are compared from their right end.
_LEFT_HEADINGS = {
    "experiment",
    "gate",
    "place",
    "kind",
    "outcome",
    "run",
    "dataset",
    "metric",
    "method",
    "label",
    "stage",
    "commonest errors",
}


def summary_table(result: RunResult) -> Table:
    """Return the scores of a run: a row for each dataset, slice and metric."""
    table = _make_summary_table(["dataset"], result.summary)
    for row in result.summary:
        place = row.dataset_id
        # Slices are indented below their dataset.
        if row.slice != ALL_CASES:
            place = f"  {row.slice}"
        _add_summary_row(table, [place], row)
    return table


def runs_table(results: Sequence[RunResult]) -> Table:
    """Return the scores of several runs on all cases of the dataset that they share."""
    scores: list[tuple[str, SummaryRow]] = []
    for result in results:
        for row in result.summary:
            if row.slice == ALL_CASES:
                scores.append((result.manifest.name, row))
    table = _make_summary_table(["run"], [row for _, row in scores])
    for name, row in scores:
        _add_summary_row(table, [name], row)
    return table


def _make_summary_table(
    places: Sequence[str],
    rows: Sequence[SummaryRow],
) -> Table:
    """Return an empty table for rows of summaries, behind columns that place them."""
    methods = {row.interval_method for row in rows if row.interval_method}
    names = [
        "metric",
        "n",
        "no answer",
        "failed",
        "mean",
        "95 % interval",
    ]
    # Where every case has an answer, its column would only take room.
    if not any(row.no_answer for row in rows):
        names.remove("no answer")
    # A method that all intervals share is put below, to leave room for the rest.
    if len(methods) > 1:
        names.append("method")
    table = _make_table([*places, *names])
    if len(methods) == 1:
        table.caption = f"intervals: {methods.pop()}"
        table.caption_justify = "left"
    return table


def _add_summary_row(
    table: Table,
    places: Sequence[str],
    row: SummaryRow,
) -> None:
    """Add a row of a summary, as far as the table has columns for it."""
    cells = dict(zip(SUMMARY_HEADINGS, summary_cells(row), strict=True))
    names = [str(column.header) for column in table.columns[len(places) :]]
    _add_cells(table, [*places, *(cells[name] for name in names)])


def agreement_table(result: RunResult) -> Table:
    """Return the agreement of metrics with people's labels, if the run measured it."""
    dataset_ids = {record.dataset_id for record in result.agreement}
    # A single dataset's name says nothing, and takes room on a narrow terminal.
    first = 0 if len(dataset_ids) > 1 else 1
    table = _make_table(AGREEMENT_HEADINGS[first:])
    for record in result.agreement:
        _add_cells(table, agreement_cells(record)[first:])
    return table


def corrected_table(items: Sequence[CorrectedScore]) -> Table:
    """Return the corrected means of a run, each beside the raw one."""
    headings = [name for name in CORRECTED_HEADINGS if name in _CORRECTED_COLUMNS]
    # The dataset's column also has its slices, as in the summary.
    table = _make_table(["dataset", *headings])
    for item in items:
        cells = dict(zip(CORRECTED_HEADINGS, corrected_cells(item), strict=True))
        place = item.dataset_id if item.slice == ALL_CASES else f"  {item.slice}"
        _add_cells(table, [place, *(cells[name] for name in headings)])
    table.title = "corrected by labels of people"
    table.title_justify = "left"
    return table


def stages_table(result: RunResult) -> Table:
    """Return the rows of a run by stage: computed, cached, failed and so on."""
    table = _make_table(STAGE_HEADINGS)
    for item in [*result.manifest.stages, *result.manifest.steps]:
        _add_counts(table, item.stage, stage_counts(item))
    return table


def errors_table(errors: Sequence[tuple[str, str, str]]) -> Table:
    """Return a table of errors, each with its stage and how many rows have it."""
    # Reasons are sentences, which may take several lines.
    table = Table("stage", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("rows", justify="right")
    table.add_column("commonest errors")
    for error in errors:
        _add_cells(table, error)
    return table


def policy_table(gates: Sequence[PolicyGate]) -> Table:
    """Return how the gates of a policy ended, each in one place."""
    table = _make_table(_POLICY_HEADINGS)
    for gate in gates:
        record = gate.record
        place = record.dataset_id
        if record.slice != ALL_CASES:
            place = f"{record.dataset_id} {record.slice}"
        interval = "—"
        if record.low is not None and record.high is not None:
            # "to", since a dash before a negative number reads as a second minus.
            interval = f"{record.low:.4f} to {record.high:.4f}"
        cells = (
            gate.experiment,
            record.title,
            place,
            "required" if gate.is_required else "advisory",
            record.outcome.value,
            fixed(record.estimate),
            interval,
        )
        _add_cells(table, cells)
    return table


def plan_table(plans: Sequence[StagePlan]) -> Table:
    """Return how many rows of each stage a run would find, and how many compute."""
    table = _make_table(_PLAN_HEADINGS)
    for item in plans:
        counts = (item.rows, item.cached, item.missing, item.unknown)
        _add_counts(table, item.stage, counts)
    return table


def _make_table(headings: Sequence[str]) -> Table:
    """Return an empty table that fits a terminal."""
    return filled_table(headings, (), left=_LEFT_HEADINGS)


def _add_cells(
    table: Table,
    cells: Sequence[str],
) -> None:
    # As `Text`: a plain string with square brackets would be read as markup.
    table.add_row(*map(as_text, cells))


def _add_counts(
    table: Table,
    stage: str,
    counts: Sequence[int],
) -> None:
    _add_cells(table, [stage, *(f"{count:,}" for count in counts)])
