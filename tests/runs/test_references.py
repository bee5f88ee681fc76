"""A metric without any expected output is refused before anything is generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import CALLS
from tests.support.dataset_files import write_jsonl
from themis_lib import Experiment
from themis_lib.errors import ConfigError

IN_MEMORY = {"dataset_id": "m", "cases": [{"case_id": "1", "input": "1"}]}
JUDGE = {"use": "tests.support.counting:Generator"}


def experiment(metrics: list[Any], datasets: list[Any]) -> Experiment:
    spec = {
        "generation": {"generator": {"use": "tests.support.counting:Generator"}},
        "evaluation": {"metrics": metrics},
        "datasets": datasets,
    }
    return Experiment.model_validate(spec)


@pytest.mark.parametrize(
    "metric",
    [
        "builtin/exact_match",
        "builtin/numeric_match",
        "builtin/choice_accuracy",
        "builtin/regex_match",
        {"use": "builtin/judge_correctness", "judge": JUDGE},
        {"use": "builtin/judge_pairwise", "judge": JUDGE},
    ],
    ids=str,
)
def test_metric_without_any_expected_output_is_refused(metric: Any) -> None:
    """No call is made for scores that cannot be."""
    CALLS.clear()

    with pytest.raises(ConfigError) as raised:
        experiment([metric], [IN_MEMORY]).run()

    assert not CALLS
    said = str(raised.value)
    assert "needs expected outputs, and no case has one: dataset 'm': give its" in said


@pytest.mark.parametrize(
    "metric",
    [
        {"use": "builtin/regex_match", "pattern": "a"},
        {"use": "builtin/judge_rubric", "judge": JUDGE, "rubric": "Polite."},
        "tests.support.counting:Metric",
    ],
    ids=str,
)
def test_metric_that_needs_none_runs(metric: Any) -> None:
    """So does a user's own, unless it says that it needs one."""
    CALLS.clear()

    experiment([metric], [IN_MEMORY]).run()

    assert CALLS["generate"]


def test_message_names_metrics_datasets_and_their_columns(tmp_path: Path) -> None:
    """With the mapping that is missing, or the column that has no values."""
    path = write_jsonl(tmp_path / "d.jsonl", [{"input": "1", "answer": None}])
    columns = {"expected_output": "answer"}
    datasets = [
        {"dataset_id": "a", "path": path},
        {"dataset_id": "b", "path": path, "columns": columns},
    ]

    with pytest.raises(ConfigError) as raised:
        experiment(["builtin/exact_match", "builtin/f1"], datasets).run()

    assert str(raised.value) == (
        "evaluation.metrics: 'exact_match', 'f1' need expected outputs, and no case has "
        "one: dataset 'a' has no column 'expected_output' with values; map one: "
        "`columns: {expected_output: …}`; dataset 'b': columns.expected_output: 'answer' "
        "has no value in any row"
    )


@pytest.mark.parametrize("is_file", [False, True])
def test_other_metrics_score_cases_that_are_given_as_they_are(
    is_file: bool, tmp_path: Path
) -> None:
    """Of a file, a mapping is missing; cases without a mapping may be meant so."""
    path = write_jsonl(tmp_path / "d.jsonl", [{"input": "1"}])
    dataset = {"dataset_id": "m", "path": path} if is_file else IN_MEMORY
    metrics = ["tests.support.counting:Metric", "builtin/exact_match"]
    spec = experiment(metrics, [dataset])

    if is_file:
        with pytest.raises(ConfigError, match="'exact_match' needs expected outputs"):
            spec.run()
    else:
        assert [1, 0] == sorted(
            (row.errors for row in spec.run().summary), reverse=True
        )


def test_one_expected_output_is_enough() -> None:
    """The other cases are counted as errors beside the mean."""
    cases = [
        {"case_id": "1", "input": "1"},
        {"case_id": "2", "input": "2", "expected_output": "2"},
    ]
    dataset = {"dataset_id": "d", "cases": cases}

    run = experiment(["builtin/exact_match"], [dataset]).run()

    assert 1 == run.summary[0].errors


def test_run_that_ends_before_the_scores_needs_none() -> None:
    """Generating alone is no mistake."""
    spec = experiment(["builtin/exact_match"], [IN_MEMORY])

    run = spec.run(until_stage="generate")

    assert "completed" == run.status.value
