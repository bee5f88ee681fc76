"""Compare runs with a baseline, the first one named.

    python -m flows.compare RUN_A RUN_B … [--store URL] [--option KEY=VALUE …]
                            [--cluster-by COLUMN] [--slice COLUMN …] [--delta D]
                            [--html FILE] [--markdown FILE] [--csv FILE] [--latex FILE]
                            [--gate GATE …] [--by interval|mean] [--junit FILE]
                            [--corrected]

RUN is a run's id, the beginning of one, `last`, or an experiment's name for its latest
run; 'NAME-*' is the latest run of each experiment with such a name, such as the cells
of a matrix. A gate is 'METRIC >= 0.8' or 'METRIC no worse than BASELINE by 0.02'
(`comparison/gate.py`), for each run but the first. With `--corrected`, labels of people
correct the means first. Exit codes: 0 compared, and all
gates passed; 2 bad input; 5 a gate failed; 6 no gate failed, but for one of them the
data cannot tell.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import typer

from flows.compare_display import informative_columns, place_text, print_comparison
from flows.exit_codes import gates_code
from flows.opening import (
    HtmlFile,
    MarkdownFile,
    Options,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from flows.terminal import open_console
from themis_lib import RunResult, RunStore, compare
from themis_lib.comparison.gate import Gate, check_names, parse_gate
from themis_lib.comparison.gate_baselines import BASELINE, ReadyGate, check_baseline
from themis_lib.comparison.gate_outcomes import judge
from themis_lib.comparison.models import Comparison, Difference, NoiseParts
from themis_lib.core.option_names import GateBasis
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.report.comparison_markdown import (
    DIFFERENCE_HEADINGS,
    TEST_HEADINGS,
    comparison_markdown,
    difference_cells,
    test_cells,
)
from themis_lib.report.exports import csv_table, latex_table
from themis_lib.report.junit import check_junit, junit_xml
from themis_lib.runs.find_run import find_run, find_runs
from themis_lib.runs.manifest import GateRecord, worst_outcome
from themis_lib.runs.summary import ALL_CASES

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)

Runs = Annotated[
    list[str],
    typer.Argument(help="The baseline, then one run or more to compare with it."),
]
ClusterBy = Annotated[
    str | None,
    typer.Option(help="A metadata column: its cases count as dependent."),
]
Slices = Annotated[
    list[str] | None,
    typer.Option("--slice", help="A metadata column to compare by."),
]
Delta = Annotated[
    float | None,
    typer.Option(help="The difference that matters."),
]
CsvFile = Annotated[
    Path | None,
    typer.Option(help="Write the differences as CSV, with every digit."),
]
LatexFile = Annotated[
    Path | None,
    typer.Option(help="Write the differences as a LaTeX table."),
]
Gates = Annotated[
    list[str] | None,
    typer.Option(help="What each run has to reach."),
]
GateBy = Annotated[
    GateBasis,
    typer.Option("--by", help="What gates go by: the interval, or the mean alone."),
]
Corrected = Annotated[
    bool,
    typer.Option("--corrected", help="Compare means corrected by labels of people."),
]
JunitFile = Annotated[
    Path | None,
    typer.Option(help="Write the gates as JUnit XML."),
]


@app.command()
def main(
    runs: Runs,
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    cluster_by: ClusterBy = None,
    slices: Slices = None,
    delta: Delta = None,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    csv: CsvFile = None,
    latex: LatexFile = None,
    gate: Gates = None,
    by: GateBy = "interval",
    junit: JunitFile = None,
    corrected: Corrected = False,
) -> None:
    """Compare runs: differences, exact tests, flips, cost, and statistical power."""
    columns = tuple(slices or ())
    # A metric of a data set that an experiment names is looked for where this is called.
    sys.path.insert(0, "")
    with one_line_errors():
        check_junit(junit, gate)
        source = opened(store, option)
        baseline, *candidates = find_runs(source, runs)
        # Every gate is checked before anything is compared, which may take long.
        check = GateCheck(
            source,
            baseline,
            cluster_by,
            columns,
            by,
        )
        ready: dict[str, list[ReadyGate]] = {}
        for run in candidates:
            ready[run.run_id] = check.ready_gates(gate or [], run)
        comparison = compare(
            baseline,
            *candidates,
            cluster_by=cluster_by,
            slices=columns,
            delta=delta,
            corrected=corrected,
        )
        outcomes: dict[str, list[GateRecord]] = {}
        for run in candidates:
            outcomes[run.run_id] = judge(run, ready[run.run_id])
        print_comparison(comparison, outcomes, open_console())
        if markdown is not None:
            write_text(markdown, comparison_markdown(comparison))
        if csv is not None:
            write_text(csv, differences_csv(comparison))
        if latex is not None:
            write_text(latex, differences_latex(comparison))
        if html is not None:
            # Imported late: only a page needs its templates.
            from themis_lib.report.html_comparison import comparison_html

            write_text(html, comparison_html(comparison, [baseline, *candidates]))
        if junit is not None:
            by_id = {run.run_id: run for run in candidates}
            write_text(junit, junit_xml(outcomes, by_id))
    raise typer.Exit(worst_code(outcomes))


def worst_code(outcomes: Mapping[str, Sequence[GateRecord]]) -> int:
    """Return the exit code of the worst gate of all runs; 0 without gates."""
    records: list[GateRecord] = []
    for run_records in outcomes.values():
        records += run_records
    return gates_code(worst_outcome(records))


def differences_csv(comparison: Comparison) -> str:
    """Return every field of every difference as CSV, numbers with all their digits."""
    noise = tuple(NoiseParts.model_fields)
    headings = tuple(name for name in Difference.model_fields if name != "noise")
    rows = []
    for item in comparison.differences:
        values = item.model_dump()
        parts = values.pop("noise") or dict.fromkeys(noise)
        rows.append([*values.values(), *parts.values()])
    return csv_table((*headings, *noise), rows)


def differences_latex(comparison: Comparison) -> str:
    """Return the differences as a LaTeX table: rounded, with n and Holm's p."""
    # Of the columns of the tests, only those that a paper reports.
    reported = itemgetter(
        TEST_HEADINGS.index("n"),
        TEST_HEADINGS.index("Holm's p"),
    )
    headings = [*DIFFERENCE_HEADINGS, *reported(TEST_HEADINGS)]
    rows: list[list[str]] = []
    for item in comparison.differences:
        rows.append([*difference_cells(item), *reported(test_cells(item))])
    caption = (
        f"Paired differences from run {comparison.baseline.run_id} "
        f"on {place_text(comparison)}."
    )
    return latex_table(*informative_columns(comparison, headings, rows), caption)


@dataclass(frozen=True)
class GateCheck:
    """What the gates of a comparison are checked against."""

    store: RunStore
    baseline: RunResult
    cluster_by: str | None
    slices: tuple[str, ...]
    by: GateBasis = "interval"

    def ready_gates(
        self,
        texts: Sequence[str],
        run: RunResult,
    ) -> list[ReadyGate]:
        """Return the gates for one run, every name in them checked.

        Raise `InputError` that names the gate and the nearest valid choice.
        """
        metric_ids: set[str] = set()
        dataset_ids: set[str] = set()
        summarised: set[str] = set()
        for row in run.summary:
            metric_ids.add(row.metric_id)
            dataset_ids.add(row.dataset_id)
            # A slice is written `column=value`.
            if row.slice != ALL_CASES:
                summarised.add(row.slice.partition("=")[0])
        ready: list[ReadyGate] = []
        for text in texts:
            gate = parse_gate(text, self.by)
            columns = summarised
            # A threshold needs a mean in the run's own summary; a regression is
            # computed here, so that the slices of this comparison count too.
            if gate.baseline is not None:
                columns = summarised.union(self.slices)
            check_names(
                gate,
                metric_ids=metric_ids,
                dataset_ids=dataset_ids,
                columns=columns,
            )
            baseline = self.find_baseline(gate, run)
            ready.append(ReadyGate(gate, baseline, self.cluster_by))
        return ready

    def find_baseline(
        self,
        gate: Gate,
        run: RunResult,
    ) -> RunResult | None:
        """Return the run that a gate compares `run` with; `None` if it needs none."""
        if gate.baseline is None:
            return None
        if gate.baseline.lower() == BASELINE:
            found = self.baseline
        else:
            found = find_run(self.store, gate.baseline)
        check_baseline(gate, found, run.manifest)
        return found


if __name__ == "__main__":
    app()
