"""Reasoning apart from answers: what components see, what tables hold, what is found."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from tests.support.tables import tables_of
from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    ParsedOutput,
    RunResult,
    RunStatus,
    RunStore,
    Score,
    StorageConfig,
    TokenUsage,
)
from themis_lib.identity.digests import canonical_json, digest, row_keys
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import Pipeline
from themis_lib.stages.progress import Progress
from themis_lib.stages.run_stage import run_stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.tables import ANSWERS, KEY, table_of

THOUGHT = "<think>Rome? No.</think>\n\nLima"


class Said:
    """A model that writes its input, and thinks in a field if told to."""

    component_id = "generator/said"
    version = "1"
    reads = ("input",)
    deterministic = True

    def __init__(self, field: str | None = None) -> None:
        self.field = field

    def fingerprint(self) -> str:
        return self.field or ""

    def generate(self, case: Case, ctx: object) -> GenerationResult:
        return GenerationResult(
            final_output=case.input,
            reasoning=self.field,
            finish_reason="length"
            if str(case.input).startswith("<think>so")
            else "stop",
            usage=TokenUsage(input_tokens=1, output_tokens=2),
        )


@dataclass(frozen=True)
class Seen:
    """A parser whose value is all that it sees."""

    reads: tuple[str, ...] = ("output",)
    whole_output: bool = False

    component_id = "parser/seen"
    version = "1"

    def fingerprint(self) -> str:
        return f"{self.whole_output}"

    def parse(self, result: GenerationResult, ctx: object) -> ParsedOutput:
        return ParsedOutput(value=[result.final_output, result.reasoning])


class Length:
    """A metric that counts the characters of an output."""

    component_id = "metric/length"
    version = "1"
    reads = ("output",)

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: ParsedOutput, case: Case, ctx: Any) -> Score:
        return Score(value=float(len(ctx.result.final_output)))


def experiment(
    *inputs: Any, parser: Any = None, field: str | None = None, metrics: Any = ()
) -> Experiment:
    cases = [Case(case_id=str(at), input=each) for at, each in enumerate(inputs)]
    return Experiment(
        generation=GenerationConfig(generator=Said(field)),
        evaluation=EvaluationConfig(parsers=[parser or Seen()], metrics=list(metrics)),
        datasets=[Dataset(dataset_id="d", cases=cases)],
        storage=StorageConfig(store="memory"),
    )


def generated(pipeline: Pipeline, shard: Shard, store: RunStore) -> Part:
    generating = run_stage(
        pipeline.generate, shard, store, run_id="r", progress=Progress()
    )
    return asyncio.run(generating)


def seen(run: RunResult) -> list[Any]:
    return [case.parsed_outputs[0].value for case in run.cases]


def test_components_see_the_answer_alone() -> None:
    """Neither a parser nor a metric that reads the output sees what was thought."""
    run = experiment(THOUGHT, "Lima", {"a": "<think>b"}, metrics=[Length()]).run()

    assert [["Lima", None], ["Lima", None], [{"a": "<think>b"}, None]] == seen(run)
    assert [4.0, 4.0] == [
        case.scores["metric/length"][0].value for case in run.cases[:2]
    ]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("parser", "expected"),
    [
        (Seen(reads=("output", "reasoning")), ["Lima", "Rome? No."]),
        (Seen(reads=("reasoning",)), [None, "Rome? No."]),
        (Seen(whole_output=True), [THOUGHT, None]),
        (
            Seen(reads=("output", "reasoning"), whole_output=True),
            [THOUGHT, "Rome? No."],
        ),
    ],
)
def test_components_see_the_reasoning_on_request(
    parser: Seen, expected: list[Any]
) -> None:
    """Beside the answer, or in the text as it was written."""
    assert [expected] == seen(experiment(THOUGHT, parser=parser).run())


def test_reasoning_of_a_field_and_of_a_text_are_one_column() -> None:
    """However a provider returns it."""
    parser = Seen(reads=("reasoning",))
    both = experiment(THOUGHT, "Lima", parser=parser, field="Peru.").run()

    assert [[None, "Peru.\n\nRome? No."], [None, "Peru."]] == seen(both)


def test_tables_and_results_hold_the_reasoning_beside_the_answer() -> None:
    """The store's rows keep the text as the model wrote it."""
    store = InMemoryRunStore()
    spec = experiment(THOUGHT)
    run = spec.run(store)

    (row,) = run.table("outputs").to_pylist()
    (candidate,) = run.cases[0].generated_candidates
    stage = spec.compile().generate
    keys = pa.array([row["key"]], KEY.type)
    stage.row_set(store).refresh()
    _, stored = stage.row_set(store).find(keys)

    assert ('"Lima"', "Rome? No.") == (row["output"], row["reasoning"])
    assert ("Lima", "Rome? No.") == (candidate.final_output, candidate.reasoning)
    assert [canonical_json(THOUGHT)] == stored["output"].to_pylist()


def test_thought_without_an_answer_is_no_answer() -> None:
    """Cut off, or with nothing behind it: null, with the reason; no parser is asked."""
    run = experiment("<think>so far", "<think>Rome</think>", metrics=[Length()]).run()

    cut, empty = run.table("outputs").to_pylist()
    assert RunStatus.FAILED == run.status
    assert (None, "so far") == (cut["output"], cut["reasoning"])
    assert "still thinking; raise max_tokens" in cut["error"]
    assert "nothing follows the thought in the output" == empty["error"]
    assert [2, 0] == [run.summary[0].no_answer, run.summary[0].errors]


def test_another_thought_about_the_same_answer_is_not_parsed_again() -> None:
    """Keys cover what a component sees."""
    store = InMemoryRunStore()
    experiment(THOUGHT, "Lima").run(store)

    again = experiment("<think>Quito? No.</think>Lima").run(store)

    assert (1, 0) == tuple(
        again.manifest.stage(name).computed  # type: ignore[union-attr]
        for name in ("generate", "parse")
    )


def test_warm_store_gives_the_tables_of_a_cold_one() -> None:
    """Also where reasoning was taken out of texts."""
    inputs = (THOUGHT, "Lima", "<think>so far", "[THINK]a[/THINK]b")
    store = InMemoryRunStore()
    experiment(*inputs[:2], metrics=[Length()]).run(store)

    warm = experiment(*inputs, metrics=[Length()]).run(store)
    cold = experiment(*inputs, metrics=[Length()]).run()

    assert tables_of(cold) == tables_of(warm)


@pytest.mark.parametrize("is_whole", [False, True])
def test_answers_of_earlier_versions_are_found_unless_they_are_of_a_thought(
    is_whole: bool,
) -> None:
    """Earlier versions parsed the text as it was written, under names of rows and shards
    that covered it.
    """
    store = InMemoryRunStore()
    spec = experiment(THOUGHT, "Quito", parser=Seen(whole_output=is_whole))
    pipeline = spec.compile()
    (shard,) = pipeline.shards(store)
    parse = pipeline.parse
    outputs = generated(pipeline, shard, store)
    keys = row_keys(
        parse.fingerprint, [[canonical_json(THOUGHT)], [canonical_json("Quito")]]
    )
    columns = {
        "cases": {},
        "outputs": {name: outputs.columns[name] for name in ("output", "error")},
        "samples": None,
    }
    earlier = [{"key": key, "value": '"earlier"', "format": None} for key in keys]
    name = digest("shard", [parse.fingerprint, columns])
    table = table_of(earlier, pa.schema([KEY, *ANSWERS]))
    parse.row_set(store).publish(name, table)

    found = seen(spec.run(store))

    expected = "earlier" if is_whole else ["Lima", None]
    assert [expected, "earlier"] == found
