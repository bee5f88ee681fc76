"""What a person sees at the end of a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.display import print_result
from tests.core.test_agreement import labelled
from tests.core.test_summary import ERROR, run
from themis_lib import RunResult


def test_agreement_fits_a_narrow_terminal() -> None:
    """Kappa and its interval stand on one line of 80 columns, behind the metric and its label."""
    result = labelled((1, True), (2, False), (1, False), (2, True), (1, True))
    console = Console(width=80, file=io.StringIO())

    print_result(result, console, seconds=1.0, page=None, command="run")

    (line,) = [line for line in console.file.getvalue().splitlines() if line.strip().startswith("exact_match")]
    (record,) = result.agreement
    assert f"{record.kappa:.3f}   {record.low:.3f} – {record.high:.3f}" in line


def shown(result: RunResult) -> str:
    console = Console(width=80, file=io.StringIO())
    print_result(result, console, seconds=1.0, page=None, command="run")
    return str(console.file.getvalue())


def test_interval_and_method_fit_a_narrow_terminal() -> None:
    """Each row of the summary has its interval and what that is by on one line of 80 columns."""
    cases = [1, 0, 1, 1, 0, 1, 0, 1, 1, 1]
    result = run(*cases, metadata=[{"topic": at // 2} for at in range(10)], statistics={"cluster_by": "topic"})

    (line,) = [line for line in shown(result).splitlines() if line.strip().startswith("d ")]
    (row,) = result.summary
    assert [*f"d score 10 0 0.7000 {row.low:.4f} – {row.high:.4f} cluster t".split()] == line.split()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("exclude", "Cases without a score are left out of the mean (`errors: exclude`)."),
        ("zero", "Cases without a score count 0 in the mean (`errors: zero`)."),
        ("fail", "Failed: 1 of 2 cases of 'd' have no score (evaluation.statistics.errors is"),
    ],
)
def test_policy_for_errors_is_stated(policy: str, expected: str) -> None:
    """Below the summary, where a case has no score."""
    assert expected in shown(run(1, ERROR, statistics={"errors": policy}))
