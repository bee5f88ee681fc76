"""What a person sees at the end of a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.display import print_result
from tests.runs.test_agreement import labelled
from tests.runs.test_summary import ERROR, run
from themis_lib import RunResult


def test_agreement_fits_a_narrow_terminal() -> None:
    """Kappa and its interval stand on one line of 80 columns, behind the metric and its
    label.
    """
    result = labelled((1, True), (2, False), (1, False), (2, True), (1, True))
    console = Console(width=80, file=io.StringIO())

    print_result(result, console, seconds=1.0, page=None, command="run")

    (line,) = [
        line
        for line in console.file.getvalue().splitlines()
        if line.strip().startswith("exact_match")
    ]
    (record,) = result.agreement
    assert f"{record.kappa:.3f}   {record.low:.3f} – {record.high:.3f}" in line


def shown(result: RunResult) -> str:
    console = Console(width=80, file=io.StringIO())
    print_result(result, console, seconds=1.0, page=None, command="run")
    return str(console.file.getvalue())


def test_interval_fits_a_narrow_terminal() -> None:
    """Each row of the summary is on one line of 80 columns; the method that all
    intervals share stands below.
    """
    cases = [1, 0, 1, 1, 0, 1, 0, 1, 1, 1]
    result = run(
        *cases,
        metadata=[{"topic": at // 2} for at in range(10)],
        statistics={"cluster_by": "topic"},
    )

    text = shown(result)

    (line,) = [line for line in text.splitlines() if line.strip().startswith("d ")]
    (row,) = result.summary
    assert f"d score 10 0 0.7000 {row.low:.4f} – {row.high:.4f}".split() == line.split()
    assert "intervals: cluster t" in text


def test_methods_that_differ_fit_a_narrow_terminal() -> None:
    """Where slices have intervals by different methods each row names its own, and
    nothing is cut.
    """
    cases = [1, 0, 1, 0.5, 0.25, 0.75]
    metadata = [{"group": "subtraction" if at < 3 else "add_long"} for at in range(6)]

    text = shown(run(*cases, metadata=metadata, slices=["group"]))

    assert ["t", "t", "wilson"] == [
        line.split()[-1]
        for line in text.splitlines()
        if " score " in line and "–" in line
    ]
    assert "…" not in text


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            "exclude",
            "Cases without a score are left out of the mean (`errors: exclude`).",
        ),
        ("zero", "Cases without a score count 0 in the mean (`errors: zero`)."),
        (
            "fail",
            "Failed: 1 of 2 cases of 'd' have no score (evaluation.statistics.errors is",
        ),
    ],
)
def test_policy_for_errors_is_stated(policy: str, expected: str) -> None:
    """Below the summary, where a case has no score."""
    assert expected in shown(run(1, ERROR, statistics={"errors": policy}))
