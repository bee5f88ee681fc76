"""The Experiment API: what a run returns, the shorthand, seeds, and one key for one row
whoever computes it.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.support.counting import CALLS
from tests.support.drivers import run_in_process, run_through_flow
from tests.support.tables import tables_of
from tests.test_edit_costs import K, N, base
from themis_lib import (
    CandidatePolicy,
    Case,
    ConfigError,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    Message,
    PromptSpec,
    ReducedCandidate,
    RunStatus,
    RunStore,
    RuntimeConfig,
    StorageConfig,
    ThemisError,
    TokenUsage,
    TraceStep,
    evaluate,
)
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.storage.compact_guard import GUARD


class CustomGenerator:
    """Small example generator that satisfies the Generator protocol."""

    component_id = "generator/custom_example"
    version = "1.0"

    def fingerprint(self) -> str:
        return "custom-example-generator"

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        del ctx
        return GenerationResult(
            candidate_id=f"{case.case_id}-candidate", final_output={"answer": "4"}
        )


def custom_experiment(generator: Any = None, **settings: Any) -> Experiment:
    return Experiment(
        generation=GenerationConfig(generator=generator or CustomGenerator()),
        evaluation=EvaluationConfig(
            metrics=["builtin/exact_match"], parsers=["builtin/json_identity"]
        ),
        storage=StorageConfig(store="memory"),
        datasets=[
            Dataset(
                dataset_id="sample",
                cases=[
                    Case(
                        case_id="case-1",
                        input={"question": "2+2"},
                        expected_output={"answer": "4"},
                    )
                ],
            )
        ],
        **settings,
    )


def test_custom_generator_runs() -> None:
    """An object with the members of a generator is one: the run has an id and is
    completed.
    """
    result = custom_experiment().run()

    assert "completed" == result.status.value
    assert result.run_id
    assert [1.0] == [row.mean for row in result.summary]


def test_case_results_hold_everything_that_was_made() -> None:
    """A case has its candidates with trace, conversation, artifacts and usage, then
    parse, score and reduction.
    """
    made = GenerationResult(
        final_output={"answer": "4"},
        finish_reason="stop",
        trace=[TraceStep(name="plan", output={"steps": 1})],
        conversation=[Message(role="user", content="2+2")],
        artifacts={"request_id": "r-1"},
        usage=TokenUsage(input_tokens=3, output_tokens=1),
    )

    class Full(CustomGenerator):
        async def generate(self, case: Case, ctx: object) -> GenerationResult:
            return made

    case = custom_experiment(Full(), seeds=[7]).run().cases[0]
    candidate = case.generated_candidates[0]

    assert ("case-1-0", 0, 7) == (
        candidate.candidate_id,
        candidate.sample_index,
        candidate.seed,
    )
    for name in (
        "final_output",
        "finish_reason",
        "trace",
        "conversation",
        "artifacts",
        "usage",
    ):
        assert getattr(made, name) == getattr(candidate, name)
    assert {"answer": "4"} == case.parsed_outputs[0].value
    assert 1.0 == case.scores["exact_match"][0].value
    assert {"exact_match": 1.0} == case.final_scores
    assert 0 == case.reduced_candidate.sample_index


def test_context_carries_what_a_generator_needs() -> None:
    """The context has run, case and dataset ids, the seed, the prompt spec, and the
    case's metadata.
    """
    seen: list[Any] = []

    class Watching(CustomGenerator):
        async def generate(self, case: Case, ctx: Any) -> GenerationResult:
            seen.append(ctx)
            return GenerationResult(final_output="x")

    data = Dataset(
        dataset_id="d", cases=[Case(case_id="c", input="x", metadata={"topic": "t"})]
    )
    experiment = Experiment(
        generation=GenerationConfig(
            generator=Watching(), prompt_spec=PromptSpec(prefix="p")
        ),
        datasets=[data],
        seeds=[7],
    )

    run = experiment.run()

    context = seen[0]
    assert (run.run_id, "c", "d", 7) == (
        context.run_id,
        context.case_id,
        context.dataset_id,
        context.seed,
    )
    assert (PromptSpec(prefix="p"), {"topic": "t"}) == (
        context.prompt_spec,
        context.metadata,
    )


def test_undeclared_columns_are_masked() -> None:
    """A component is handed the columns it declares and nothing else, so that its keys
    cannot miss an input.
    """
    seen: list[Case] = []

    class Narrow(CustomGenerator):
        reads = ("input",)

        async def generate(self, case: Case, ctx: object) -> GenerationResult:
            seen.append(case)
            return GenerationResult(final_output="x")

    custom_experiment(Narrow()).run()

    assert [({"question": "2+2"}, None, {})] == [
        (case.input, case.expected_output, case.metadata) for case in seen
    ]
    assert "case-1" != seen[0].case_id


def test_cases_are_a_lazy_sequence() -> None:
    """Cases have a length, indices, negative indices and slices, in the order of the
    data.
    """
    cases = [Case(case_id=f"c{index}", input=str(index)) for index in range(10)]
    experiment = Experiment(
        generation=GenerationConfig(generator="builtin/demo_generator"),
        datasets=[Dataset(dataset_id="d", cases=cases)],
        runtime={"shard_size": 3},
    )

    found = experiment.run().cases

    assert 10 == len(found)
    assert ["c0", "c9", "c4"] == [
        found[0].case.case_id,
        found[-1].case.case_id,
        found[4].case.case_id,
    ]
    assert ["c2", "c3"] == [item.case.case_id for item in found[2:4]]
    assert [case.case_id for case in cases] == [item.case.case_id for item in found]
    with pytest.raises(IndexError):
        found[10]


def test_sync_run_inside_a_loop_says_what_to_do() -> None:
    """`run()` inside a running event loop says to use `run_async()`."""

    async def inside() -> None:
        custom_experiment().run()

    with pytest.raises(ThemisError, match="run_async"):
        asyncio.run(inside())


def test_run_async_runs_inside_a_loop() -> None:
    """`run_async()` is `run()` for callers that have a loop."""
    assert RunStatus.COMPLETED == asyncio.run(custom_experiment().run_async()).status


@pytest.mark.parametrize(
    ("stage", "tables"),
    [
        ("generate", {"outputs"}),
        ("parse", {"outputs", "answers"}),
        ("score", {"outputs", "answers", "scores"}),
    ],
)
def test_until_stage_stops_there_and_the_next_run_goes_on(
    stage: str, tables: set[str], tmp_path: Path
) -> None:
    """A run can stop after a stage; a later run takes up its rows."""
    spec = base(tmp_path / "store")

    stopped = experiment_from_spec(Experiment, spec, where="spec").run(
        until_stage=stage
    )
    CALLS.clear()
    whole = run_in_process(spec, tmp_path, "")

    names = ("outputs", "answers", "scores", "results")
    assert tables == {name for name in names if stopped.table(name).num_rows}
    assert (RunStatus.COMPLETED, RunStatus.COMPLETED) == (stopped.status, whole.status)
    assert 0 == CALLS["generate"]


def test_flow_rows_are_found_in_process(prefect_api: str, tmp_path: Path) -> None:
    """After a run through the flow, a run in process computes nothing and has the same
    tables.
    """
    spec = base(tmp_path / "store")
    through_flow = run_through_flow(spec, tmp_path, prefect_api)
    CALLS.clear()

    in_process = run_in_process(spec, tmp_path, "")

    assert {} == CALLS
    assert tables_of(through_flow) == tables_of(in_process)
    assert {path.name for path in (tmp_path / "store/rows").iterdir()} == {
        "cases",
        "generate",
        "parse",
        "score",
        "reduce",
        "summary",
        PurePosixPath(GUARD).name,
    }


def test_more_samples_keep_the_first() -> None:
    """Without explicit seeds, sample i has the same seed whatever the number of
    samples.
    """

    def seeds(samples: int) -> tuple[int, ...]:
        experiment = custom_experiment()
        policy = CandidatePolicy(num_samples=samples)
        generation = experiment.generation.model_copy(
            update={"candidate_policy": policy}
        )
        return experiment.model_copy(update={"generation": generation}).compile().seeds

    assert seeds(5)[:2] == seeds(2)
    assert 5 == len(set(seeds(5)))


def test_explicit_seeds_are_one_a_sample() -> None:
    """`seeds` sets the number of samples, and contradicts another number."""
    generation = GenerationConfig(
        generator=CustomGenerator(), candidate_policy={"num_samples": 3}
    )
    mismatched = custom_experiment(seeds=[1, 2]).model_copy(
        update={"generation": generation}
    )

    assert (1, 2) == custom_experiment(seeds=[1, 2]).compile().seeds
    with pytest.raises(ConfigError, match="num_samples=3"):
        mismatched.compile()


def test_equal_draws_stay_independent() -> None:
    """The same prompt and the same seed twice are two draws, unless the generator is
    deterministic.
    """
    drawn: list[int] = []

    class Drawing(CustomGenerator):
        reads = ("input",)

        async def generate(self, case: Case, ctx: object) -> GenerationResult:
            drawn.append(1)
            return GenerationResult(final_output=len(drawn))

    class Fixed(Drawing):
        deterministic = True

    twice = Dataset(
        dataset_id="d", cases=[Case(case_id=name, input="same") for name in "ab"]
    )
    outputs = {}
    for generator in (Drawing(), Fixed()):
        drawn.clear()
        run = Experiment(
            generation=GenerationConfig(generator=generator),
            datasets=[twice],
            seeds=[7, 7],
        ).run()
        outputs[type(generator)] = sorted(
            row["output"] for row in run.table("outputs").to_pylist()
        )

    assert ["1", "2", "3", "4"] == outputs[Drawing]
    assert ["1"] * 4 == outputs[Fixed]


def test_store_url_keeps_runs(tmp_path: Path) -> None:
    """A store that is a folder is found again by another experiment object."""
    settings = {"storage": StorageConfig(store=str(tmp_path / "runs"))}
    first = custom_experiment().model_copy(update=settings).run()
    second = custom_experiment().model_copy(update=settings).run()

    assert (1, 0) == (
        first.progress["generate"].computed,
        second.progress["generate"].computed,
    )
    assert first.run_id != second.run_id
    assert (tmp_path / "runs/runs" / second.run_id / "parts.json").exists()


def test_given_store_is_used() -> None:
    """`run(store=…)` keeps rows in the store it is given."""
    store = InMemoryRunStore()

    result = custom_experiment().run(store=store)

    assert result.store is store
    assert store.exists(f"runs/{result.run_id}/manifest.json")


def test_evaluate_takes_plain_functions() -> None:
    """`evaluate` turns functions into components: a model, a parser, a metric, sync or
    async.
    """

    async def model(prompt: str) -> str:
        return f"<{prompt}>"

    data = [
        {"input": "a", "expected_output": "A"},
        {"input": "b", "expected_output": "?"},
    ]
    result = evaluate(
        model=model,
        data=data,
        parser=lambda output: output.strip("<>").upper(),
        metric=lambda value, expected: value == expected,
        samples=2,
        reducer="builtin/mean",
    )

    assert (2, 0, 0.5) == (
        result.summary[0].n,
        result.summary[0].errors,
        result.summary[0].mean,
    )
    assert 4 == result.progress["generate"].rows


def test_evaluate_refuses_data_that_is_no_case() -> None:
    """Data that is neither cases nor mappings is named by its place."""
    with pytest.raises(ThemisError, match="item 1"):
        evaluate(model=str.upper, data=[{"input": "a"}, "b"])


def test_tables_are_plain_parquet(tmp_path: Path) -> None:
    """The exported tables of a run are read by any Parquet reader, by path alone."""
    import pyarrow.parquet as pq

    from themis_lib.runs.export import export_tables

    spec = base(tmp_path / "store")
    result = run_in_process(spec, tmp_path, "")

    export_tables(result, Path(result.location))
    scores = pq.read_table(f"{result.location}/scores.parquet")

    assert N * K == scores.num_rows
    assert [
        "dataset_id",
        "case_id",
        "sample_index",
        "metric_id",
        "key",
        "score",
        "details",
        "error",
    ] == scores.column_names
    assert RunStore(str(tmp_path / "store")).exists(
        f"runs/{result.run_id}/manifest.json"
    )


def test_replay_gives_each_sample_its_own_recording(tmp_path: Path) -> None:
    """A replayed sample is the recorded one of its index, whatever seeds ran before on
    the store.
    """
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text(
        '{"case_id": "a", "output": "first"}\n{"case_id": "a", "output": "second"}\n'
    )
    store = InMemoryRunStore()

    def outputs(seeds: list[int]) -> list[Any]:
        experiment = Experiment(
            generation=GenerationConfig(
                generator={"use": "builtin/replay", "path": str(recorded)}
            ),
            datasets=[Dataset(dataset_id="d", cases=[Case(case_id="a", input="x")])],
            seeds=seeds,
        )
        return [
            row["output"] for row in experiment.run(store).table("outputs").to_pylist()
        ]

    assert ['"first"'] == outputs([1])
    assert ['"first"', '"second"'] == outputs([2, 1])
    assert ['"first"', '"second"'] == outputs([7, 7])


def test_file_is_parsed_again_only_when_it_changes(tmp_path: Path) -> None:
    """A dataset file's shards are on record by its content: moved it is known, changed
    or damaged it is read again.
    """
    file, moved = tmp_path / "cases.jsonl", tmp_path / "elsewhere.jsonl"
    file.write_text(
        "".join(
            f'{{"case_id": "c{index}", "input": "{index}"}}\n' for index in range(5)
        )
    )
    store = InMemoryRunStore()

    def ids(path: Path) -> list[str]:
        experiment = Experiment(
            generation=GenerationConfig(generator="builtin/demo_generator"),
            datasets=[{"dataset_id": "d", "path": str(path)}],
        )
        return [case.case.case_id for case in experiment.run(store).cases]

    records = lambda: [
        name for name in store.list("rows/cases") if name.endswith(".json")
    ]
    first = ids(file)
    file.rename(moved)
    assert first == ids(moved) == ["c0", "c1", "c2", "c3", "c4"]
    assert 1 == len(records())
    moved.write_text(moved.read_text().replace("c4", "c5"))
    assert [*first[:4], "c5"] == ids(moved)
    for name in store.list("rows/cases"):
        if name.endswith(".parquet"):
            store.remove(f"rows/cases/{name}")
    assert [*first[:4], "c5"] == ids(moved)


def test_metadata_keeps_its_types() -> None:
    """Metadata comes back as it was given, and slices tell texts from what looks like
    them.
    """
    metadata = [
        {"n": 3, "flag": True},
        {"n": "3", "flag": "true"},
        {"n": None, "flag": "hard"},
    ]
    experiment = Experiment(
        generation=GenerationConfig(generator="builtin/demo_generator"),
        evaluation=EvaluationConfig(metrics=["builtin/exact_match"], slices=["flag"]),
        datasets=[
            Dataset(
                dataset_id="d",
                cases=[
                    Case(
                        case_id=str(index),
                        input="x",
                        expected_output="x",
                        metadata=values,
                    )
                    for index, values in enumerate(metadata)
                ],
            )
        ],
    )

    result = experiment.run()

    assert metadata == [case.case.metadata for case in result.cases]
    assert ["all", 'flag="true"', "flag=hard", "flag=true"] == [
        row.slice for row in result.summary
    ]


def test_reducer_may_tell_metrics_apart() -> None:
    """A reducer that treats metrics differently has a row of its own for each, whatever
    their scores.
    """

    class ByMetric:
        component_id, version = "tests/by_metric", "1"

        def fingerprint(self) -> str:
            return ""

        def reduce(self, candidates: Any, ctx: Any) -> ReducedCandidate:
            return ReducedCandidate(score=1.0 if ctx.metric_id == "a" else 0.0)

    experiment = Experiment(
        generation=GenerationConfig(
            generator="builtin/demo_generator", reducer=ByMetric()
        ),
        evaluation=EvaluationConfig(
            metrics=[{"use": "builtin/exact_match", "id": name} for name in "ab"]
        ),
        datasets=[
            Dataset(
                dataset_id="d",
                cases=[Case(case_id="1", input="x", expected_output="x")],
            )
        ],
    )

    assert {"a": 1.0, "b": 0.0} == {
        row.metric_id: row.mean for row in experiment.run().summary
    }


def test_sample_index_is_masked_unless_declared() -> None:
    """A generator that does not declare the sample index is not told it."""
    seen: list[Any] = []

    class Watching(CustomGenerator):
        def generate(self, case: Case, ctx: Any) -> GenerationResult:
            seen.append(ctx.sample_index)
            return GenerationResult(final_output="x")

    class Declaring(Watching):
        reads = ("input", "sample_index")

    for generator in (Watching(), Declaring()):
        custom_experiment(generator, seeds=[5, 6]).run()

    assert [None, None, 0, 1] == [*seen[:2], *sorted(seen[2:])]


def test_functions_are_told_apart_by_what_they_are_bound_to() -> None:
    """Partial arguments and the state of a callable object are part of a function's
    identity.
    """
    store = f"memory://{id(object())}"

    class Suffix:
        def __init__(self, suffix: str) -> None:
            self.suffix = suffix

        def __call__(self, prompt: str) -> str:
            return prompt + self.suffix

        def method(self, prompt: str) -> str:
            return self(prompt)

    def suffixed(prompt: str, suffix: str) -> str:
        return prompt + suffix

    for make in (
        Suffix,
        lambda suffix: Suffix(suffix).method,
        lambda suffix: partial(suffixed, suffix=suffix),
    ):
        outputs = [
            evaluate(model=make(suffix), data=[{"input": "x"}], store=store)
            .cases[0]
            .generated_candidates[0]
            .final_output
            for suffix in "ab"
        ]
        assert ["xa", "xb"] == outputs


def test_blocking_functions_neither_hang_nor_starve() -> None:
    """A call that raises StopIteration fails its row; one that blocks past the timeout
    holds up no other.
    """

    def model(prompt: str) -> str:
        if prompt == "stop":
            return next(iter(()))
        if prompt == "hang":
            time.sleep(3)
        return prompt

    data = [{"input": name} for name in ("hang", "hang", "stop", "a", "b", "c")]
    result = evaluate(
        model=model, data=data, runtime=RuntimeConfig(max_concurrency=2, timeout_s=0.3)
    )

    errors = [case.generated_candidates[0].error for case in result.cases]
    assert [None] * 3 == errors[3:]
    assert "StopIteration" in errors[2]
    assert ["TimeoutError", "TimeoutError"] == errors[:2]


def test_metric_of_the_output_needs_no_answer() -> None:
    """A metric that reads the output alone judges it also where no answer was found."""

    class Length:
        component_id, version, reads = "tests/length", "1", ("output",)

        def fingerprint(self) -> str:
            return ""

        def score(self, parsed: Any, case: Case, ctx: Any) -> float:
            return len(ctx.result.final_output)

    result = evaluate(
        model=str.upper,
        data=[{"input": "four"}],
        parser="builtin/number",
        metric=[Length(), "builtin/exact_match"],
    )

    assert {"tests/length": 4.0, "exact_match": 0.0} == {
        row.metric_id: row.mean for row in result.summary
    }
    assert (0, 1) == (
        result.progress["parse"].cached,
        result.progress["score[exact_match]"].skipped,
    )
    assert RunStatus.PARTIAL_FAILURE == result.status
