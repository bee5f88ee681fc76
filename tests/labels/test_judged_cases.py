"""The rows behind the scores of cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.labelling import (
    CORRECT,
    cases,
    contains_judge,
    give_labels,
    judged_run,
)
from themis_lib import (
    CandidatePolicy,
    ConfigError,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    InMemoryRunStore,
    RowError,
    RunResult,
)
from themis_lib.components.functions import as_generator
from themis_lib.labels.judged_cases import JudgedCases
from themis_lib.runs.score_groups import UNANSWERED


class Wavering:
    """Right in its first sample, wrong in the second, and without a word in the third."""

    component_id, version, reads = "tests/wavering", "1", ("input",)

    def fingerprint(self) -> str:
        return ""

    async def generate(self, case: Any, ctx: Any) -> Any:
        from themis_lib import GenerationResult

        number = int(case.input.split()[2])
        texts = {0: f"It is {2 * number}.", 1: "It is nothing."}
        if ctx.seed not in texts:
            raise RowError("the model refused: no")
        return GenerationResult(final_output=texts[ctx.seed])


def wavering_run(reducer: Any, samples: int = 2) -> RunResult:
    metric = {**CORRECT, "judge": as_generator(contains_judge)}
    return Experiment(
        generation=GenerationConfig(
            generator=Wavering(),
            reducer=reducer,
            candidate_policy=CandidatePolicy(num_samples=samples),
        ),
        datasets=[Dataset(dataset_id="sums", cases=cases(4))],
        evaluation=EvaluationConfig(parsers=["builtin/text"], metrics=[metric]),
        seeds=list(range(samples)),
    ).run(InMemoryRunStore())


@pytest.mark.parametrize(
    ("reducer", "rows"),
    [("builtin/first", 1), ("builtin/mean", 2), ("builtin/max", 1)],
)
def test_rows_are_those_that_the_reducer_counts(reducer: str, rows: int) -> None:
    """The chosen sample, or all of them where the score is their mean."""
    judged = JudgedCases.of(wavering_run(reducer), "correct")

    assert [rows] * 4 == [len(of_case) for of_case in judged.rows]
    means = [np.mean([row.score for row in of_case]) for of_case in judged.rows]
    assert judged.scores.tolist() == means


def test_sample_without_an_answer_is_known_where_the_mean_counts_it() -> None:
    """A third sample that says nothing counts 0 in the mean, and needs no label."""
    judged = JudgedCases.of(wavering_run("builtin/mean", samples=3), "correct")

    assert [[1.0, 0.0, 0.0]] * 4 == [
        [row.score for row in of_case] for of_case in judged.rows
    ]
    assert [[False, False, True]] * 4 == [
        [row.known for row in of_case] for of_case in judged.rows
    ]
    exclude = {"use": "builtin/mean", "no_answer": "exclude"}
    left_out = JudgedCases.of(wavering_run(exclude, samples=3), "correct")
    assert [2] * 4 == [len(of_case) for of_case in left_out.rows]


def test_score_that_is_no_mean_is_refused() -> None:
    """Labels of samples say nothing about pass@k without the k."""
    run = wavering_run({"use": "builtin/pass_at_k", "k": 2})

    with pytest.raises(ConfigError, match=r"no mean of its samples.*pass_at_k"):
        JudgedCases.of(run, "correct")


def test_case_without_a_score_has_no_rows() -> None:
    """What it counts as is said by whoever asks, and known for certain."""

    def refuses_two(text: str) -> str:
        if text == "What is 2 + 2?":
            raise RowError("the model refused: no")
        if text == "What is 3 + 3?":
            raise RowError("the server is broken")
        return "It is 0."

    run = judged_run(InMemoryRunStore(), model=refuses_two)
    give_labels(run, 3)
    judged = JudgedCases.of(run, "correct")

    assert UNANSWERED == judged.scores[2]
    assert np.isnan(judged.scores[3])
    rows = judged.judged_rows(np.array([1, 2]), np.array([0.0, 0.25]))
    assert [0.0, 0.25] == rows.scores.tolist()
    assert [False, True] == rows.is_known.tolist()


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'correct'"):
        JudgedCases.of(judged_run(InMemoryRunStore()), "corect")
