"""The tables of a terminal, laid out for eighty columns."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from flows.result_tables import (
    agreement_table,
    errors_table,
    plan_table,
    runs_table,
    stages_table,
    summary_table,
)
from tests.runs.test_agreement import labelled
from tests.runs.test_summary import ERROR, answered, run
from tests.support.compared_runs import case, run_of
from themis_lib import InMemoryRunStore
from themis_lib.explain.plan import StagePlan


def shown(table: Table) -> list[str]:
    """The lines of a table on a terminal of eighty columns."""
    console = Console(width=80, file=io.StringIO())
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def headings(table: Table) -> list[str]:
    return [str(column.header) for column in table.columns]


# The summary


def test_interval_fits_a_narrow_terminal() -> None:
    """Each row of the summary is on one line; the method that all intervals share is
    below.
    """
    result = run(
        *[1, 0, 1, 1, 0, 1, 0, 1, 1, 1],
        metadata=[{"topic": at // 2} for at in range(10)],
        statistics={"cluster_by": "topic"},
    )

    lines = shown(summary_table(result))

    (row,) = result.summary
    interval = f"{row.low:.4f} – {row.high:.4f}"
    assert f"d score 10 0 0.7000 {interval}".split() in [line.split() for line in lines]
    assert "intervals: cluster t" == lines[-1]


def test_methods_that_differ_fit_a_narrow_terminal() -> None:
    """Where slices have intervals by different methods each row names its own, and
    nothing is cut.
    """
    metadata = [{"group": "subtraction" if at < 3 else "add_long"} for at in range(6)]
    result = run(
        *[1, 0, 1, 0.5, 0.25, 0.75],
        metadata=metadata,
        slices=["group"],
    )

    lines = shown(summary_table(result))

    assert ["t", "t", "wilson"] == [
        line.split()[-1] for line in lines if " score " in line and "–" in line
    ]
    assert "…" not in "".join(lines)
    assert not any(line.startswith("intervals:") for line in lines)


def test_slices_are_indented_below_their_dataset() -> None:
    """All cases come first; each slice is two columns to the right."""
    result = run(1, 0, metadata=[{"group": "a"}, {"group": "b"}], slices=["group"])

    lines = [line for line in shown(summary_table(result)) if " score " in line]

    edge = len(lines[0]) - len(lines[0].lstrip())
    assert ["d", "  group=a", "  group=b"] == [
        line[edge:].partition(" score")[0].rstrip() for line in lines
    ]


def test_runs_are_below_each_other() -> None:
    """Several runs share one table, without their slices, and a column for answers that
    are missing where one run lacks any.
    """
    whole = run(1, 0, 1, 1, metadata=[{"topic": "a"}] * 4, slices=["topic"])
    lacking = answered("1", "nothing")

    table = runs_table([whole, lacking])

    names = [result.manifest.name for result in (whole, lacking)]
    assert names == list(map(str, table.columns[0].cells))
    assert ["run", "metric", "n", "no answer"] == headings(table)[:4]


def test_cases_without_an_answer_are_counted() -> None:
    """They are in a column of their own, in the mean and behind its `n`."""
    result = answered("1", "none", "none", "fail")

    rows = [line.split() for line in shown(summary_table(result))]

    assert any("answer" in row and "failed" in row for row in rows)
    assert ["d", "numeric_match", "3", "2", "1", "0.3333"] in [row[:6] for row in rows]


def test_case_without_a_score_is_counted() -> None:
    """It is an error of its row, and the mean is over the others."""
    rows = [line.split() for line in shown(summary_table(run(1, ERROR)))]

    assert ["d", "score", "1", "1", "1.0000"] in [row[:5] for row in rows]


def test_numbers_are_under_each_other() -> None:
    """Text begins at the left end of a column, numbers end at its right end."""
    table = summary_table(run(1, 0, 1))

    assert {"dataset": "left", "metric": "left"} == {
        str(column.header): column.justify
        for column in table.columns
        if column.justify == "left"
    }


# Agreement


def test_agreement_fits_a_narrow_terminal() -> None:
    """Kappa and its interval are on one line, behind the metric and its label."""
    result = labelled((1, True), (2, False), (1, False), (2, True), (1, True))

    lines = shown(agreement_table(result))

    (line,) = [line for line in lines if line.strip().startswith("exact_match")]
    (record,) = result.agreement
    assert f"{record.kappa:.3f}  {record.low:.3f} – {record.high:.3f}" in line


def test_agreement_names_datasets_where_there_are_several() -> None:
    """A single dataset's name says nothing."""
    cases = [{"case_id": "1", "input": 1, "expected_output": 1}]
    for at in cases:
        at["metadata"] = {"label": True}
    one = labelled((1, True), (2, False))
    two = labelled(
        datasets=[{"dataset_id": name, "cases": cases} for name in ("d", "e")]
    )

    tables = [agreement_table(result) for result in (one, two)]

    assert [False, True] == ["dataset" in headings(table) for table in tables]
    assert [1, 2] == [table.row_count for table in tables]


# Stages, errors and plans


def test_stages_are_counted() -> None:
    """A row for each stage, in the order of the pipeline."""
    result = run_of(InMemoryRunStore(), [case("q", 1.0)])

    lines = shown(stages_table(result))

    stages = [line.split()[0] for line in lines if line.strip() and "─" not in line]
    assert ["stage", "generate", "parse", "score[m]", "reduce"] == stages


def test_long_error_is_folded() -> None:
    """Only the text of an error takes several lines, and no word of it is lost."""
    message = " ".join(f"word{at}" for at in range(40))

    text = " ".join(shown(errors_table([("generate", "1,200", message)])))

    assert message.split() == [word for word in text.split() if word[:4] == "word"]
    assert "1,200" in text


def test_square_brackets_are_text() -> None:
    """An error is shown as it is, though rich has markup in brackets."""
    lines = shown(errors_table([("score[m]", "1", "KeyError: [red]")]))

    assert ["score[m]", "1", "KeyError:", "[red]"] in [line.split() for line in lines]


def test_plan_counts_rows_with_separators() -> None:
    """Rows, cached, to compute and not known yet, a line for each stage."""
    plans = [
        StagePlan(stage="generate", rows=12_000, cached=11_999, missing=1, unknown=0)
    ]

    lines = shown(plan_table(plans))

    assert ["generate", "12,000", "11,999", "1", "0"] in [
        line.split() for line in lines
    ]
    assert "stage rows cached to compute not known yet" == " ".join(lines[1].split())
