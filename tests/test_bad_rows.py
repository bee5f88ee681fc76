"""What goes wrong in one row is recorded in that row, counted beside the mean, and
stops nothing.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.drivers import DRIVERS
from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    FatalError,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    ParsedOutput,
    RowError,
    RunStatus,
    RuntimeConfig,
    Score,
    ScoreError,
    TransientError,
)

GOOD = "fine"


class Oracle:
    """Returns, raises or does what its table says for an input."""

    component_id = "tests/oracle"
    version = "1"
    reads = ("input",)
    runtime = ("answers", "calls")

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def fingerprint(self) -> str:
        return "oracle"

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        self.calls.append(case.input)
        answer = self.answers.get(case.input, GOOD)
        if isinstance(answer, Exception):
            raise answer
        return (
            answer
            if isinstance(answer, GenerationResult)
            else GenerationResult(final_output=answer)
        )


class Parser:
    component_id = "tests/parser"
    version = "1"

    def __init__(self, parse: Any) -> None:
        self._parse = parse

    def fingerprint(self) -> str:
        return "parser"

    def parse(self, result: GenerationResult, ctx: object) -> ParsedOutput:
        return self._parse(result.final_output)


class Metric:
    component_id = "tests/metric"
    version = "1"

    def __init__(self, score: Any) -> None:
        self._score = score

    def fingerprint(self) -> str:
        return "metric"

    def score(self, parsed: ParsedOutput, case: Case, ctx: object) -> Any:
        return self._score(parsed.value)


def experiment(
    generator: Any, *, parser: Any = "builtin/json_identity", metric: Any = None
) -> Experiment:
    return Experiment(
        generation=GenerationConfig(generator=generator),
        evaluation=EvaluationConfig(
            parsers=[parser], metrics=[metric or Metric(lambda value: 1.0)]
        ),
        datasets=[
            Dataset(
                dataset_id="d",
                cases=[Case(case_id=name, input=name) for name in ("good", "bad")],
            )
        ],
        runtime=RuntimeConfig(timeout_s=5),
    )


NO_OUTPUT = "the generator returned no output"


def bad(value: Any) -> Any:
    raise ValueError("cannot make sense of this")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "the generator's result cannot be kept"),
        ({"score": float("inf")}, "the generator's result cannot be kept"),
        (datetime.date(2026, 1, 1), "the generator's result cannot be kept"),
        ({1, 2}, "the generator's result cannot be kept"),
        ("\ud800", "the generator's result cannot be kept"),
        (
            GenerationResult(final_output="x", artifacts={"raw": object()}),
            "the generator's result cannot be kept",
        ),
        (RowError("the input cannot be sent"), "the input cannot be sent"),
        (None, NO_OUTPUT),
        (GenerationResult(error="refused: policy"), "refused: policy"),
        (RowError("blocked by a content filter"), "blocked by a content filter"),
    ],
)
def test_fact_about_an_output_is_recorded_and_kept(value: Any, reason: str) -> None:
    """An output that JSON cannot hold, a null, or a refusal is an error in its row, and
    is not asked for again.
    """
    generator, store = Oracle(bad=value), InMemoryRunStore()

    result = experiment(generator).run(store)
    again = experiment(generator).run(store)

    assert RunStatus.PARTIAL_FAILURE == result.status == again.status
    assert reason in str(result.cases[1].generated_candidates[0].error)
    # A model that says nothing has no answer; one whose output cannot be kept failed.
    is_unanswered = reason in (
        NO_OUTPUT,
        "refused: policy",
        "blocked by a content filter",
    )
    assert ((2, 0, 0.5) if is_unanswered else (1, 1, 1.0)) == (
        result.summary[0].n,
        result.summary[0].errors,
        result.summary[0].mean,
    )
    assert result.cases[1].reduced_candidate is not None
    assert "generate: " in str(result.cases[1].reduced_candidate.error)
    assert 2 == len(generator.calls)


@pytest.mark.parametrize(
    "error",
    [
        TransientError("busy"),
        TimeoutError("slow"),
        ConnectionError("cut"),
        KeyError("x"),
    ],
)
def test_failure_that_may_pass_is_tried_again_by_the_next_run(error: Exception) -> None:
    """An exception of a generator fails its row for this run alone; the next run asks
    for that row only.
    """
    generator, store = Oracle(bad=error), InMemoryRunStore()

    failed = experiment(generator).run(store)
    generator.answers = {}
    healed = experiment(generator).run(store)

    assert RunStatus.PARTIAL_FAILURE == failed.status
    assert 1 == failed.progress["generate"].failed
    assert type(error).__name__ in str(failed.cases[1].generated_candidates[0].error)
    assert RunStatus.COMPLETED == healed.status
    assert ["good", "bad", "bad"] == generator.calls


def test_timeout_fails_the_row_for_this_run() -> None:
    """A call that takes longer than `timeout_s` fails for now, like a lost
    connection.
    """

    class Slow(Oracle):
        async def generate(self, case: Case, ctx: object) -> GenerationResult:
            await asyncio.sleep(60 if case.input == "bad" else 0)
            return GenerationResult(final_output=GOOD)

    slow = experiment(Slow()).model_copy(
        update={"runtime": RuntimeConfig(timeout_s=0.05)}
    )

    result = slow.run()

    assert 1 == result.progress["generate"].failed
    assert "TimeoutError" in str(result.cases[1].generated_candidates[0].error)


def test_exception_in_a_parser_is_that_rows_error() -> None:
    """An exception in a parser is recorded as the answer's error and counted in the
    summary.
    """
    result = experiment(Oracle(), parser=Parser(lambda output: bad(output))).run()

    assert RunStatus.FAILED == result.status
    assert (
        "ValueError: cannot make sense of this"
        == result.cases[0].parsed_outputs[0].error
    )
    assert (0, 2, None) == (
        result.summary[0].n,
        result.summary[0].errors,
        result.summary[0].mean,
    )


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (None, "the metric returned no score"),
        (float("nan"), "no finite number"),
        (float("inf"), "no finite number"),
        ("high", "the metric returned str"),
        (Score(value=None), "the metric returned no score"),
        (ScoreError(reason="no reference"), "no reference"),
        (Score(value=1.0, details={"x": object()}), "details cannot be kept"),
    ],
)
def test_score_that_is_none_is_an_error(score: Any, reason: str) -> None:
    """A metric that returns no usable score leaves a null and the reason; the mean is
    over the rest.
    """
    metric = Metric(lambda value: 1.0 if value == GOOD else score)

    result = experiment(Oracle(bad="strange"), metric=metric).run()

    judged = result.cases[1].scores["tests/metric"][0]
    assert isinstance(judged, ScoreError)
    assert reason in judged.reason
    assert RunStatus.PARTIAL_FAILURE == result.status
    assert (1, 1, 1.0) == (
        result.summary[0].n,
        result.summary[0].errors,
        result.summary[0].mean,
    )


def test_fatal_error_stops_the_run() -> None:
    """A failure that every row would share stops the run at once, and the record says
    so.
    """
    generator, store = (
        Oracle(good=FatalError("401: the key is refused")),
        InMemoryRunStore(),
    )

    with pytest.raises(FatalError, match="401"):
        experiment(generator).run(store)

    from themis_lib.runs.manifest import manifests

    assert [RunStatus.FAILED] == [manifest.status for manifest in manifests(store)]


def test_broken_batches_fail_their_rows_alone() -> None:
    """A batch generator returns exceptions for the rows that failed; the others are
    kept.
    """

    class Batch(Oracle):
        async def generate_batch(
            self, cases: list[Case], contexts: object
        ) -> list[Any]:
            return [
                TransientError("busy")
                if case.input == "bad"
                else GenerationResult(final_output=GOOD)
                for case in cases
            ]

    result = experiment(Batch()).run()

    assert (1, 1) == (
        result.progress["generate"].computed,
        result.progress["generate"].failed,
    )


def test_retries_come_from_the_orchestrator(prefect_api: str, tmp_path: Path) -> None:
    """Through the flow a shard is tried again until its failed rows succeed, and only
    these are asked for again.
    """
    from tests.support import flaky

    flaky.CALLS.clear()
    spec = {
        "generation": {
            "generator": {"use": "tests.support.flaky:Flaky", "failures": 2}
        },
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {"case_id": name, "input": name, "expected_output": name}
                    for name in ("a", "b", "c")
                ],
            }
        ],
        "storage": {"store": str(tmp_path / "store")},
        "runtime": {"retries": 3, "retry_delay_s": 0.05},
    }

    result = DRIVERS["through the flow"](spec, tmp_path, prefect_api)

    assert RunStatus.COMPLETED == result.status
    assert {"a": 1, "b": 3, "c": 1} == dict(flaky.CALLS)
    assert (3, 0) == (
        result.progress["generate"].computed,
        result.progress["generate"].failed,
    )


def test_rows_that_fail_for_good_leave_the_others(
    prefect_api: str, tmp_path: Path
) -> None:
    """When retries run out the run ends with the failed row recorded, and every other
    row in its tables.
    """
    from tests.support import flaky

    flaky.CALLS.clear()
    spec = {
        "generation": {
            "generator": {"use": "tests.support.flaky:Flaky", "failures": 99}
        },
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {"case_id": name, "input": name, "expected_output": name}
                    for name in ("a", "b", "c")
                ],
            }
        ],
        "storage": {"store": str(tmp_path / "store")},
        "runtime": {"retries": 1, "retry_delay_s": 0.05},
    }

    result = DRIVERS["through the flow"](spec, tmp_path, prefect_api)

    assert RunStatus.PARTIAL_FAILURE == result.status
    assert {"a": 1, "b": 2, "c": 1} == dict(flaky.CALLS)
    assert (2, 1) == (
        result.progress["generate"].computed,
        result.progress["generate"].failed,
    )
    assert (2, 1) == (result.summary[0].n, result.summary[0].errors)


def test_metric_of_batches_fails_the_rows_it_names_alone() -> None:
    """An exception in the list is that row's failure: transient ones are asked again,
    others are facts.
    """

    class Batch:
        component_id = "tests/batch_metric"
        version = "1"
        reads = ("value",)
        asked: ClassVar[list[list[str]]] = []

        def fingerprint(self) -> str:
            return ""

        async def score_batch(
            self, parsed: Any, cases: Any, contexts: Any
        ) -> list[Any]:
            values = [answer.value for answer in parsed]
            self.asked.append(values)
            verdicts = {
                "busy": TransientError("busy"),
                "odd": ValueError("odd"),
                "none": ScoreError(reason="none"),
            }
            return [
                Score(value=1.0) if value == GOOD else verdicts[value]
                for value in values
            ]

    store = InMemoryRunStore()
    names = [GOOD, "busy", "odd", "none"]
    run = Experiment(
        generation=GenerationConfig(generator="builtin/demo_generator"),
        evaluation=EvaluationConfig(metrics=[Batch()]),
        datasets=[
            Dataset(
                dataset_id="d", cases=[Case(case_id=name, input=name) for name in names]
            )
        ],
    )

    first, second = run.run(store), run.run(store)

    progress = [
        result.progress["score[tests/batch_metric]"] for result in (first, second)
    ]
    assert [(3, 1), (0, 1)] == [(item.computed, item.failed) for item in progress]
    assert [names, ["busy"]] == Batch.asked


@pytest.mark.parametrize(("awaited", "failed"), [(True, 1), (False, 0)])
def test_timeout_bounds_batches_that_are_awaited(awaited: bool, failed: int) -> None:
    """As with scores one by one: a metric that computes takes the time it needs."""

    class Batch:
        component_id = "tests/batch_metric"
        version = "1"
        reads = ("value",)

        def fingerprint(self) -> str:
            return ""

        def score_batch(self, parsed: Any, cases: Any, contexts: Any) -> list[Score]:
            time.sleep(0.2)
            return [Score(value=1.0) for _ in cases]

    class Awaited(Batch):
        async def score_batch(
            self, parsed: Any, cases: Any, contexts: Any
        ) -> list[Score]:
            await asyncio.sleep(0.2)
            return [Score(value=1.0) for _ in cases]

    result = Experiment(
        generation=GenerationConfig(generator="builtin/demo_generator"),
        evaluation=EvaluationConfig(metrics=[Awaited() if awaited else Batch()]),
        datasets=[Dataset(dataset_id="d", cases=[Case(case_id="a", input="a")])],
        runtime=RuntimeConfig(timeout_s=0.05),
    ).run()

    assert failed == result.progress["score[tests/batch_metric]"].failed


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ([], "score_batch returned 0 results for 2 rows"),
        ([Score(value=1.0)] * 3, "score_batch returned 3 results for 2 rows"),
    ],
)
def test_metric_that_loses_rows_of_a_batch_is_a_fact_about_them(
    returned: list[Score], said: str
) -> None:
    """No row is given the score of another."""

    class Batch:
        component_id = "tests/batch_metric"
        version = "1"
        reads = ("value",)

        def fingerprint(self) -> str:
            return ""

        def score_batch(self, parsed: Any, cases: Any, contexts: Any) -> list[Score]:
            return returned

    result = Experiment(
        generation=GenerationConfig(generator="builtin/demo_generator"),
        evaluation=EvaluationConfig(metrics=[Batch()]),
        datasets=[
            Dataset(
                dataset_id="d", cases=[Case(case_id=name, input=name) for name in "ab"]
            )
        ],
    ).run()

    assert [(2, None)] == [(row.errors, row.mean) for row in result.summary]
    assert {said} == {
        item.error for case in result.cases for item in case.reduced.values()
    }
