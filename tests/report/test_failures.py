"""The rows of a run that failed, each told once and by the stage that knows why."""

from __future__ import annotations

from themis_lib import RunResult, evaluate
from themis_lib.report.failures import failed_rows, failure_lines


def refused(*inputs: str) -> RunResult:
    """A run whose model refuses what begins with x."""

    def model(prompt: str) -> str:
        if prompt.startswith("x"):
            raise ValueError("I will not")
        return prompt

    data = [{"input": text, "expected_output": text} for text in ("good", *inputs)]
    return evaluate(model=model, data=data, metric="builtin/exact_match")


def test_rows_are_told_by_the_stage_that_failed() -> None:
    """A row that the model refused is a failure of `generate`; later stages, which had
    nothing, do not repeat it.
    """
    failures = failed_rows(refused("x1", "x2"), limit=10)

    assert 2 == failures.count
    assert {"generate"} == {stage for stage, *_ in failures.rows}
    assert all("I will not" in reason for *_, reason in failures.rows)


def test_a_list_that_is_cut_knows_how_many_there_are() -> None:
    """The first rows are listed, all are counted."""
    failures = failed_rows(refused("x1", "x2", "x3"), limit=1)

    assert (1, 3) == (len(failures.rows), failures.count)


def test_a_run_without_failures_has_none() -> None:
    """Nothing is listed, and nothing is said."""
    failures = failed_rows(refused(), limit=10)

    assert ([], 0) == (failures.rows, failures.count)
    assert [] == failure_lines(failures)
