"""Estimates of tokens, before a model is called: from a run, or from characters."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.test_cost import Metered
from tests.test_judge_cost import FreeJudge, Judge, bounded, experiment
from themis_lib import (
    Case,
    EvaluationConfig,
    InMemoryRunStore,
    JudgeCall,
    ParsedOutput,
    PromptSpec,
    Score,
    TokenUsage,
)
from themis_lib.core.contexts import ScoreContext
from themis_lib.explain.estimates import (
    estimate_usage,
    expected_request_length,
    request_length,
)
from themis_lib.runs.manifest import Manifest, StageRecord
from themis_lib.runs.pipeline import Pipeline


class CaseMetric:
    """Asks a judge about the input of a case, whatever was answered."""

    component_id = "tests/case_metric"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    def judge_calls(self) -> list[JudgeCall]:
        return [JudgeCall(self.ask, PromptSpec(instructions="Is it hard?"))]

    def ask(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Any:
        return case.input

    def score(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Score:
        return Score(value=1.0)


def compiled(
    candidate: Any,
    judge: Any | None = None,
) -> Pipeline:
    return experiment(candidate, judge).compile()


def generate_record(
    manifest: Manifest,
    **counts: Any,
) -> Manifest:
    """The record of a run whose generate stage has other counts."""
    record = StageRecord(stage="generate", fingerprint="", identity={}, **counts)
    return manifest.model_copy(update={"stages": [record]})


@pytest.fixture(scope="module")
def finished() -> Manifest:
    """The record of a run of four cases, which used 10 input and 4 output tokens."""
    return experiment(Metered(), None).run(InMemoryRunStore()).manifest


def test_rows_are_taken_to_use_what_earlier_rows_used(finished: Manifest) -> None:
    """The tokens of a run are scaled to the rows to come; unknown counts stay unknown."""
    generate = compiled(Metered()).generate

    usage = estimate_usage(generate, 6, None, finished)

    assert TokenUsage(input_tokens=15, output_tokens=6) == usage


def test_computed_rows_are_the_best_evidence(finished: Manifest) -> None:
    """What a run computed itself is taken before what it found."""
    manifest = generate_record(
        finished,
        rows=10,
        computed=2,
        usage=TokenUsage(input_tokens=1000, output_tokens=1000),
        usage_computed=TokenUsage(input_tokens=6, output_tokens=4),
    )

    usage = estimate_usage(compiled(Metered()).generate, 4, None, manifest)

    assert TokenUsage(input_tokens=12, output_tokens=8) == usage


def test_skipped_rows_used_nothing(finished: Manifest) -> None:
    """Rows that an earlier stage left without input are not counted among those that
    used the tokens.
    """
    manifest = generate_record(
        finished,
        rows=10,
        cached=8,
        skipped=2,
        usage=TokenUsage(input_tokens=80, output_tokens=8),
    )

    usage = estimate_usage(compiled(Metered()).generate, 1, None, manifest)

    assert TokenUsage(input_tokens=10, output_tokens=1) == usage


def test_characters_are_counted_without_an_earlier_run() -> None:
    """Four characters are a token, the prompt spec's for every row, and each answer
    has `max_tokens`.
    """
    generate = compiled(bounded(7)).generate
    instructions = len(generate.prompt_spec.model_dump_json(exclude_defaults=True))

    usage = estimate_usage(generate, 3, 40.0, None)

    tokens = round((40 + 3 * instructions) / 4)
    assert TokenUsage(input_tokens=tokens, output_tokens=21) == usage


@pytest.mark.parametrize(
    ("candidate", "wanted", "characters"),
    [
        (bounded(7), 0, 40.0),
        (bounded(7), 3, None),
        (Metered(), 3, 40.0),
    ],
    ids=["no rows", "unknown characters", "unknown max_tokens"],
)
def test_nothing_is_estimated_without_evidence(
    candidate: Metered,
    wanted: int,
    characters: float | None,
) -> None:
    """Without rows, characters or `max_tokens` there is no estimate rather than 0."""
    generate = compiled(candidate).generate

    assert estimate_usage(generate, wanted, characters, None) is None


def test_free_models_are_not_estimated_from_characters() -> None:
    """A model that costs nothing needs no guess, though it has `max_tokens`."""
    free, paid = compiled(Metered(), FreeJudge()), compiled(Metered(), Judge())

    assert estimate_usage(free.judges[0], 3, 40.0, None) is None
    assert estimate_usage(paid.judges[0], 3, 40.0, None) is not None


def test_only_stages_that_call_a_model_are_estimated(finished: Manifest) -> None:
    """Parsing uses no tokens, whatever the run before."""
    assert estimate_usage(compiled(bounded()).parse, 3, 40.0, finished) is None


def test_run_without_the_stage_is_no_evidence() -> None:
    """A run from before a judge was added says nothing about the judge."""
    pipeline = compiled(Metered(), Judge(max_tokens=None))
    manifest = experiment(Metered(), None).run(InMemoryRunStore()).manifest

    assert estimate_usage(pipeline.judges[0], 3, 40.0, manifest) is None


def test_request_length_is_the_mean_over_rows() -> None:
    """Characters are counted, not bytes, in the columns of a case that are there."""
    pipeline = compiled(Metered(), Judge())
    rows = pa.table(
        {
            "input": ['"ab"', '"é"'],
            "metadata": ["{}", "{}"],
            "seed": [1, 2],
        }
    )

    assert 3.5 + 2 == request_length(pipeline.generate, rows)
    assert 3.5 == request_length(pipeline.judges[0], rows)
    assert 0.0 == request_length(pipeline.parse, rows)


def test_column_without_values_has_no_length() -> None:
    """Requests that could not be built are null, and ask nothing."""
    judge = compiled(Metered(), Judge()).judges[0]
    rows = pa.table({"input": pa.nulls(2, pa.string())})

    assert 0.0 == request_length(judge, rows)


def test_expected_request_has_the_longest_answer() -> None:
    """A judge reads the case, and an answer of at most `max_tokens` by four characters."""
    store = InMemoryRunStore()
    pipeline = compiled(bounded(7), Judge())
    shard = next(pipeline.shards(store))

    length = expected_request_length(pipeline, pipeline.judges[0], shard, store)

    # The case has a digit as its input, and "x" in quotes as its expected output.
    assert 1 + 3 + 7 * 4 == length


def test_expected_request_about_a_case_has_no_answer() -> None:
    """A metric that reads no output and no answer asks about the case alone."""
    store = InMemoryRunStore()
    evaluation = EvaluationConfig(metrics=[CaseMetric()], judge_models=[Judge()])
    asking = experiment(Metered(), None).model_copy(update={"evaluation": evaluation})
    pipeline = asking.compile()
    shard = next(pipeline.shards(store))

    length = expected_request_length(pipeline, pipeline.judges[0], shard, store)

    assert 1.0 == length


def test_expected_request_of_an_unbounded_answer_is_unknown() -> None:
    """Without `max_tokens`, an answer may have any length."""
    store = InMemoryRunStore()
    pipeline = compiled(Metered(), Judge())
    shard = next(pipeline.shards(store))

    judge = pipeline.judges[0]

    assert expected_request_length(pipeline, judge, shard, store) is None
    assert 0.0 == expected_request_length(pipeline, pipeline.parse, shard, store)


def test_rendered_prompt_counts_in_place_of_the_input() -> None:
    """A template and few-shot examples are what a model is charged for."""
    rows = pa.table({"input": ['"a"'], "prompt": ['"abcdefgh"']})

    assert 10.0 == request_length(compiled(Metered()).generate, rows)
