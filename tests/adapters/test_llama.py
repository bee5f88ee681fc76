"""The generator `llama`: a local model in an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.drivers import run_through_flow
from tests.support.tables import tables_of
from themis_lib import (
    CandidatePolicy,
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    PromptSpec,
    RunResult,
    RuntimeConfig,
    StorageConfig,
)
from themis_lib.adapters import llama

QUESTIONS = [
    "What is 12 + 30?",
    "What is 7 + 8?",
    "Reverse: garden",
    "Copy: lamp post",
    "What is 90 - 45?",
]


def experiment(
    store: str = "memory",
    *,
    samples: int = 1,
    concurrency: int = 32,
    inputs: list[Any] | None = None,
    prompt_spec: PromptSpec | None = None,
    seeds: list[int] | None = None,
    **settings: Any,
) -> Experiment:
    cases = [
        Case(case_id=str(number), input=value, expected_output="42")
        for number, value in enumerate(inputs or QUESTIONS)
    ]
    return Experiment(
        generation=GenerationConfig(
            generator=llama(**{"model": "tiny", "max_tokens": 24, **settings}),
            prompt_spec=prompt_spec or PromptSpec(),
            candidate_policy=CandidatePolicy(
                num_samples=len(seeds) if seeds else samples
            ),
        ),
        evaluation=EvaluationConfig(
            metrics=["builtin/exact_match"], parsers=["builtin/text"]
        ),
        storage=StorageConfig(store=store),
        runtime=RuntimeConfig(max_concurrency=concurrency),
        datasets=[Dataset(dataset_id="questions", cases=cases)],
        seeds=seeds,
    )


def outputs(result: RunResult) -> list[list[Any]]:
    return [
        [candidate.final_output for candidate in case.generated_candidates]
        for case in result.cases
    ]


def test_second_run_computes_nothing(tmp_path: Path) -> None:
    """An evaluation of a local model is cached like any other."""
    first = experiment(str(tmp_path), temperature=0.7, samples=3).run()
    second = experiment(str(tmp_path), temperature=0.7, samples=3).run()

    assert 15 == first.progress["generate"].computed
    assert [0] * len(second.progress) == [
        stage.computed for stage in second.progress.values()
    ]
    assert outputs(first) == outputs(second)


def test_neighbours_change_nothing() -> None:
    """One call at a time and many at a time give the same rows."""
    settings = {"temperature": 0.9, "samples": 4, "logprobs": 2}

    one, many = (experiment(concurrency=width, **settings).run() for width in (1, 32))

    kept = [case.generated_candidates for case in one.cases]
    beside = [case.generated_candidates for case in many.cases]
    ignored = {"latency_s", "candidate_id"}
    assert [[row.model_dump(exclude=ignored) for row in rows] for rows in kept] == [
        [row.model_dump(exclude=ignored) for row in rows] for rows in beside
    ]


def test_configuration_names_it(tmp_path: Path, prefect_api: str) -> None:
    """`use: llama` in a file gives the same tables as the object, also through the
    flow.
    """
    spec = {
        "name": "llama",
        "generation": {
            "generator": {
                "use": "llama",
                "model": "tiny",
                "max_tokens": 24,
                "temperature": 0.8,
            },
            "candidate_policy": {"num_samples": 2},
        },
        "evaluation": {"metrics": ["builtin/exact_match"], "parsers": ["builtin/text"]},
        "datasets": [
            {
                "dataset_id": "questions",
                "cases": [
                    {"case_id": str(number), "input": value, "expected_output": "42"}
                    for number, value in enumerate(QUESTIONS)
                ],
            }
        ],
        "storage": {"store": str(tmp_path / "flow")},
    }

    through_flow = run_through_flow(spec, tmp_path, prefect_api)
    in_process = experiment(str(tmp_path / "process"), temperature=0.8, samples=2).run()

    assert tables_of(in_process) == tables_of(through_flow)


def test_temperature_0_is_greedy_for_every_seed() -> None:
    """As the field expects: no seed, the API's default one or another, changes a greedy
    text.
    """
    result = experiment(seeds=[0, 42, 7]).run()

    assert all(1 == len(set(texts)) for texts in outputs(result))


def test_seeds_are_passed_through() -> None:
    """The same explicit seed gives the same sample, another one another."""
    story = ["Write a story"]
    result = experiment(inputs=story, seeds=[5, 6, 5], temperature=1.0).run()
    again = experiment(inputs=story, seeds=[6], temperature=1.0).run()

    ((first, second, third),) = outputs(result)
    assert first == third
    assert first != second
    assert [[second]] == outputs(again)


def test_constrained_outputs_satisfy_their_constraint() -> None:
    """A list of choices bounds what an evaluation gets."""
    result = experiment(choices=["A", "B", "C"], temperature=1.0, samples=3).run()

    assert {"A", "B", "C"} >= {text for texts in outputs(result) for text in texts}


def test_example_judges_with_the_bundled_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every verdict is readable, and its agreement with the labels is reported, poor as
    it is.
    """
    monkeypatch.chdir(Path(__file__).parents[2])
    example = Experiment.from_config(
        "examples/judge.yaml", overrides=[f"storage.store={tmp_path}"]
    )

    judged, contained = example.run().agreement

    assert ("judged", 40, 0, 0) == (
        judged.metric_id,
        judged.n,
        judged.errors,
        judged.unlabelled,
    )
    assert judged.low is not None
    assert contained.kappa is not None
    assert judged.low < judged.kappa < contained.kappa


def test_example_evaluates_the_bundled_model(tmp_path: Path) -> None:
    """What `make demo` runs: every group of tasks has its scores, and the model is
    neither perfect nor useless.
    """
    root = Path(__file__).parents[2]
    example = Experiment.from_config(
        str(root / "examples/demo.yaml"),
        overrides=[
            f"storage.store={tmp_path}",
            f"datasets.0.path={root / 'examples/tasks.jsonl'}",
        ],
    )

    rows = [row for row in example.run().summary if row.slice == "all"]

    assert [270] == [row.n for row in rows]
    assert rows[0].mean is not None
    assert 0.2 < rows[0].mean < 0.95
