"""Compare runs with a baseline, the first one named.

    python -m flows.compare RUN_A RUN_B … [--store URL] [--option KEY=VALUE …]
                            [--cluster-by COLUMN] [--slice COLUMN …] [--delta D]
                            [--html FILE] [--markdown FILE] [--csv FILE] [--latex FILE]
                            [--gate GATE …] [--junit FILE]

RUN is a run's id, the beginning of one, `last`, or an experiment's name for its latest
run. A gate is 'METRIC >= 0.8' or 'METRIC no worse than BASELINE by 0.02'
(`comparison/gate.py`), for each run but the first. Exit codes: 0 compared, and all
gates passed; 2 bad input; 5 a gate failed; 6 no gate failed, but the data cannot tell
for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.display import gates_text
from flows.exit_codes import gates_code
from flows.opening import (
    DEFAULT_STORE,
    Options,
    StoreUrl,
    one_line_errors,
    opened,
    write_text,
)
from themis_lib import RunResult, RunStore, compare
from themis_lib.comparison.gate import Gate, check_names, parse_gate
from themis_lib.comparison.gate_baselines import BASELINE, ReadyGate, check_baseline
from themis_lib.comparison.gate_outcomes import judge
from themis_lib.comparison.models import Comparison, Difference
from themis_lib.errors import ConfigError
from themis_lib.report.comparison_markdown import (
    DIFFERENCE_HEADINGS,
    FLIP_HEADINGS,
    SIDE_HEADINGS,
    TEST_HEADINGS,
    comparison_markdown,
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
from themis_lib.report.exports import csv_table, latex_table
from themis_lib.report.junit import check_junit, junit_xml
from themis_lib.runs.find_run import find_run
from themis_lib.runs.manifest import GateRecord, worst_outcome
from themis_lib.runs.summary import ALL_CASES

_VERDICT_STYLE = {
    "better": "green",
    "worse": "red",
    "same": "cyan",
    "cannot tell": "yellow",
}
_LOG_WIDTH = 1000
_TEXT_HEADINGS = {
    "run",
    "dataset",
    "slice",
    "metric",
    "case",
    "conclusion",
}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def main(
    runs: Annotated[
        list[str],
        typer.Argument(help="The baseline, then one run or more to compare with it."),
    ],
    store: StoreUrl = DEFAULT_STORE,
    option: Options = None,
    cluster_by: Annotated[
        str | None,
        typer.Option(help="A metadata column: its cases count as dependent."),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", help="A metadata column to compare by."),
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="The difference that matters.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page to read offline.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write Markdown, for a pull request.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Write the differences as CSV, with every digit."),
    ] = None,
    latex: Annotated[
        Path | None, typer.Option(help="Write the differences as a LaTeX table.")
    ] = None,
    gate: Annotated[
        list[str] | None, typer.Option(help="What each run has to reach.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the gates as JUnit XML.")
    ] = None,
) -> None:
    """Compare runs: differences with intervals and exact tests, flips, cost, and what
    the data could have shown.
    """
    console = Console()
    with one_line_errors():
        check_junit(junit, gate)
        source = opened(store, option)
        baseline, *candidates = (find_run(source, run) for run in runs)
        by = _Columns(cluster_by, tuple(slices or ()))
        ready = [
            (
                run,
                _ready_gates(
                    gate or [],
                    source,
                    baseline,
                    run,
                    by,
                ),
            )
            for run in candidates
        ]
        comparison = compare(
            baseline,
            *candidates,
            cluster_by=cluster_by,
            slices=by.slices,
            delta=delta,
        )
        outcomes = {run.run_id: judge(run, gates) for run, gates in ready}
        _print_comparison(comparison, outcomes, console)
        _write_file(markdown, lambda: comparison_markdown(comparison))
        _write_file(
            csv,
            lambda: csv_table(
                tuple(Difference.model_fields), map(_row_values, comparison.differences)
            ),
        )
        _write_file(latex, lambda: latex_table(*_latex_parts(comparison)))
        _write_file(html, lambda: _comparison_page(comparison, [baseline, *candidates]))
        _write_file(
            junit,
            lambda: junit_xml(
                {side.run_id: outcomes[side.run_id] for side in comparison.runs[1:]}
            ),
        )
    raise typer.Exit(
        gates_code(
            worst_outcome(
                [record for records in outcomes.values() for record in records]
            )
        )
    )


class _Columns(NamedTuple):
    """The metadata columns to compare by."""

    cluster_by: str | None
    slices: tuple[str, ...]


def _ready_gates(
    texts: Sequence[str],
    store: RunStore,
    baseline: RunResult,
    run: RunResult,
    by: _Columns,
) -> list[ReadyGate]:
    """The gates for one run, every name in them checked."""
    summary = run.summary
    summarised = {
        row.slice.partition("=")[0] for row in summary if row.slice != ALL_CASES
    }
    ready = []
    for gate in map(parse_gate, texts):
        check_names(
            gate,
            metric_ids={row.metric_id for row in summary},
            dataset_ids={row.dataset_id for row in summary},
            columns=summarised
            if gate.baseline is None
            else summarised.union(by.slices),
        )
        ready.append(
            ReadyGate(
                gate,
                _baseline_of(
                    gate,
                    store,
                    baseline,
                    run,
                ),
                by.cluster_by,
            )
        )
    return ready


def _baseline_of(
    gate: Gate,
    store: RunStore,
    baseline: RunResult,
    run: RunResult,
) -> RunResult | None:
    if gate.baseline is None:
        return None
    found = (
        baseline
        if gate.baseline.lower() == BASELINE
        else find_run(store, gate.baseline)
    )
    if found.run_id == run.run_id:
        raise ConfigError(
            f"gate {gate.text!r}: run {run.run_id!r} would be compared with itself; name another"
        )
    check_baseline(gate, found)
    return found


def _print_comparison(
    comparison: Comparison,
    gates: Mapping[str, Sequence[GateRecord]],
    console: Console,
) -> None:
    console.print(
        Text.assemble(
            (comparison.baseline.name, "bold"),
            f"  {conclusion_line(comparison)} on {_place_text(comparison)}",
        )
    )
    console.print(_sides_table(comparison))
    differences = comparison.differences
    _print_table(
        _make_table(
            comparison, DIFFERENCE_HEADINGS, map(difference_cells, differences)
        ),
        console,
    )
    _print_table(
        _make_table(comparison, TEST_HEADINGS, map(test_cells, differences)), console
    )
    _print_lines("tests", method_lines(comparison), console)
    _print_lines("power", power_lines(comparison), console)
    _print_lines("differs", list(identity_lines(comparison)), console)
    _print_lines(
        "unmatched", [unmatched_line(item) for item in comparison.unmatched], console
    )
    if comparison.flips:
        _print_lines("flips", [flips_line(comparison)], console)
        _print_table(
            _make_table(
                comparison, FLIP_HEADINGS, map(flip_cells, shown_flips(comparison))
            ),
            console,
        )
    for run_id, records in gates.items():
        if records and len(gates) > 1:
            console.print(Text(run_id, style="bold"))
        if records:
            console.print(gates_text(records), soft_wrap=True)


def _print_lines(
    name: str,
    lines: Sequence[str],
    console: Console,
) -> None:
    for line in lines:
        console.print(Text(f"{name:<10}{line}"), soft_wrap=True)


def _print_table(
    table: Table,
    console: Console,
) -> None:
    """Print a table, in a log as wide as it is."""
    if console.is_terminal:
        console.print(table)
        return
    width = console.measure(
        table, options=console.options.update(max_width=_LOG_WIDTH)
    ).maximum
    console.print(
        table,
        width=max(width, console.width),
        crop=False,
    )


def _sides_table(comparison: Comparison) -> Table:
    """The runs side by side, a column each; lines that say nothing are left out."""
    name, *lines = zip(SIDE_HEADINGS, *map(side_cells, comparison.runs), strict=True)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for at, heading in enumerate(name):
        table.add_column(
            Text(heading),
            justify="right" if at else "left",
            overflow="fold",
        )
    for heading, *cells in lines:
        if any(cell != "—" for cell in cells):
            table.add_row(heading, *map(Text, cells))
    return table


def _make_table(
    comparison: Comparison,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> Table:
    headings, rows = _informative_columns(comparison, headings, list(rows))
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for heading in headings:
        is_text = heading in _TEXT_HEADINGS
        table.add_column(
            heading,
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=not is_text,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_VERDICT_STYLE.get(cell, "")) for cell in row))
    return table


def _informative_columns(
    comparison: Comparison,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> tuple[list[str], list[list[str]]]:
    """The columns that say something: no dashes alone, no name where there is one run,
    dataset or slice, or where all slices are of one metric.
    """
    idle = {"run"} if len(comparison.runs) == 2 else set()
    idle |= set() if comparison.slices else {"slice"}
    idle |= (
        {"dataset"}
        if len({item.dataset_id for item in comparison.differences}) == 1
        else set()
    )
    idle |= (
        {"metric"}
        if comparison.slices
        and len({item.metric_id for item in comparison.differences}) == 1
        else set()
    )
    idle |= {"p"} if "Holm's p" in headings else set()
    kept = [
        at
        for at, heading in enumerate(headings)
        if heading not in idle and (not rows or any(row[at] != "—" for row in rows))
    ]
    return [headings[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _latex_parts(comparison: Comparison) -> tuple[list[str], list[list[str]], str]:
    n, p = TEST_HEADINGS.index("n"), TEST_HEADINGS.index("Holm's p")
    headings = (*DIFFERENCE_HEADINGS, TEST_HEADINGS[n], TEST_HEADINGS[p])
    rows = [
        (*difference_cells(item), test_cells(item)[n], test_cells(item)[p])
        for item in comparison.differences
    ]
    caption = f"Paired differences from run {comparison.baseline.run_id} on {_place_text(comparison)}."
    return *_informative_columns(comparison, headings, rows), caption


def _place_text(comparison: Comparison) -> str:
    metric_ids = {item.metric_id for item in comparison.differences}
    datasets = dict.fromkeys(item.dataset_id for item in comparison.differences)
    return ", ".join([*datasets, *(metric_ids if len(metric_ids) == 1 else ())])


def _row_values(item: Difference) -> list[str | int | float | None]:
    return list(item.model_dump().values())


def _comparison_page(
    comparison: Comparison,
    runs: Sequence[RunResult],
) -> str:
    from themis_lib.report.html_comparison import comparison_html

    return comparison_html(comparison, runs)


def _write_file(
    file: Path | None,
    content: Callable[[], str],
) -> None:
    if file is not None:
        write_text(file, content())


if __name__ == "__main__":
    app()
