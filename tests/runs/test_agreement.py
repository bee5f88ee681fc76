"""Agreement with labels: which cases are compared, and what is counted beside them."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import ConfigError, Experiment, GenerationResult, RunResult
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.report.markdown import markdown_report


def labelled(
    *cases: tuple[Any, Any],
    label: str = "label",
    metric: str = "exact_match",
    **settings: Any,
) -> RunResult:
    """A run that scores each case 1 where its input is 1, in shards of two, with the
    label behind it.
    """
    rows = [
        {
            "case_id": str(at),
            "input": value,
            "metadata": {"label": given},
            "expected_output": 1 if value != "?" else None,
        }
        for at, (value, given) in enumerate(cases)
    ]
    spec = {
        "generation": {"generator": "tests.runs.test_agreement:ECHO"},
        "evaluation": {
            "metrics": ["builtin/exact_match"],
            "agreement": {metric: label},
        },
        "datasets": [{"dataset_id": "d", "cases": rows}],
        "runtime": {"shard_size": 2},
        **settings,
    }
    return experiment_from_spec(Experiment, spec, where="spec").run()


class Echo:
    component_id = "tests/echo"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Any, ctx: Any) -> Any:
        return GenerationResult(final_output=case.input)


ECHO = Echo()


def test_true_is_one_and_false_is_zero() -> None:
    """A label is compared by value with the score, over all shards."""
    result = labelled(
        (1, True), (1, 1), (2, False), (2, 0.0), (1, False), (2, 1.0), (1, 1)
    )

    (record,) = result.agreement

    assert ("d", "exact_match", "label", 7) == (
        record.dataset_id,
        record.metric_id,
        record.label,
        record.n,
    )
    assert 5 / 7 == pytest.approx(record.observed)
    assert 0.416667 == pytest.approx(record.kappa, abs=1e-6)
    assert record.low < record.kappa < record.high


def test_what_is_not_compared_is_counted() -> None:
    """Cases without a score and cases without a label stand beside those compared."""
    (record,) = labelled(
        (1, True), (2, False), ("?", True), (1, None), ("?", None)
    ).agreement

    assert (2, 1, 2) == (record.n, record.errors, record.unlabelled)


def test_agreement_is_in_the_report_and_the_record() -> None:
    """The report has a table; a run that is opened again knows its agreement."""
    result = labelled((1, True), (2, False), (1, False), (2, True), (1, True))

    report = markdown_report(result)

    assert "## Agreement with labels (Cohen's kappa)" in report
    assert (
        "| d | exact_match | label | 5 | 0 | 0 | 0.600 | "
        f"{result.agreement[0].kappa:.3f} |"
    ) in report
    assert RunResult(result.store, result.run_id).agreement == result.agreement


def test_run_without_labels_says_nothing_of_them() -> None:
    """No table where nobody asked."""
    result = labelled((1, True), evaluation={"metrics": ["builtin/exact_match"]})

    assert [] == result.agreement
    assert "Agreement" not in markdown_report(result)


@pytest.mark.parametrize(
    ("cases", "settings", "message"),
    [
        (
            [(1, True)],
            {"label": "lable"},
            "no case has metadata 'lable'; did you mean 'label'?",
        ),
        (
            [(1, True)],
            {"metric": "exact_mach"},
            "no metric 'exact_mach'; did you mean 'exact_match'?",
        ),
        ([(1, "right")], {}, "metadata 'label' holds 'right', which no score equals"),
    ],
    ids=["label", "metric", "text"],
)
def test_labels_that_cannot_be_compared_are_refused(
    cases: list[tuple[Any, Any]], settings: dict[str, str], message: str
) -> None:
    """Before anything is generated, with what to do."""
    with pytest.raises(ConfigError) as error:
        labelled(*cases, **settings)

    assert message in str(error.value)
