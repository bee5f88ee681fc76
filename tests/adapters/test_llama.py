"""The generator `llama`: a local model in an evaluation."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.drivers import run_through_flow
from tests.support.tables import tables_of
from themis_lib import (
    CandidatePolicy,
    Case,
    ComponentError,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    ModelError,
    PromptSpec,
    RunResult,
    RuntimeConfig,
    StorageConfig,
)
from themis_lib.adapters import llama
from themis_lib.components.build import build, component_identity
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import GenerationResult
from themis_lib.engine.tiny import TINY

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


def answer(
    generator: Any, value: Any, *, seed: int = 0, **spec: Any
) -> GenerationResult:
    context = GenerateContext("run", "case", "dataset", seed, None, PromptSpec(**spec))
    return asyncio.run(generator.generate(Case(case_id="case", input=value), context))


def identity(**settings: Any) -> dict[str, Any]:
    return component_identity("generator", llama(**{"model": "tiny", **settings}))


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


def test_identity_is_the_content_of_the_file(tmp_path: Path) -> None:
    """A model moved or copied is the same model; another file is not."""
    copied = shutil.copy(TINY, tmp_path / "other.gguf")

    assert (
        identity() == identity(model=str(copied)) == identity(model=None, size="tiny")
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.5},
        {"top_k": 3},
        {"top_p": 0.5},
        {"min_p": 0.1},
        {"repetition_penalty": 1.1},
        {"max_tokens": 7},
        {"stop": ["."]},
        {"regex": "[0-9]+"},
        {"choices": ["a", "b"]},
        {"template": "raw"},
        {"window": 256},
        {"logprobs": 1},
        {"schema": {"type": "integer"}},
        {"response_format": {"type": "json_object"}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_every_setting_is_identity(settings: dict[str, Any]) -> None:
    """Whatever can change a row changes its key."""
    assert identity() != identity(**settings)


def test_row_holds_what_happened() -> None:
    """Conversation, trace, token usage, the reason of the end and log-probabilities are
    in the row.
    """
    result = answer(
        llama(model="tiny", max_tokens=5, logprobs=2),
        "What is 1 + 1?",
        instructions="Answer briefly.",
    )

    assert ["system", "user", "assistant"] == [
        message.role for message in result.conversation or []
    ]
    assert "tiny" == (result.trace or [])[0].metadata["model"]
    assert result.usage is not None
    tokens = (result.artifacts or {})["logprobs"]
    assert result.usage.output_tokens == len(tokens)
    assert result.final_output == "".join(token["text"] for token in tokens)
    assert all(token["logprob"] <= 0 and 2 == len(token["likely"]) for token in tokens)
    assert math.isclose(tokens[0]["logprob"], tokens[0]["likely"][0][2])


def test_prompt_over_the_window_is_told() -> None:
    """A prompt that is too long keeps head and tail, and the trace says how much was
    left out.
    """
    result = answer(llama(model="tiny", max_tokens=4, window=64), "word " * 200)

    assert isinstance(result.final_output, str)
    assert 0 < (result.trace or [])[0].metadata["dropped_prompt_tokens"]


def test_conversation_is_sent_as_one() -> None:
    """An input that is a list of messages reaches the chat template as turns."""
    turns = [
        {"role": "user", "content": "Copy: lamp"},
        {"role": "assistant", "content": "lamp"},
        {"role": "user", "content": "Copy: tree"},
    ]

    result = answer(llama(model="tiny", max_tokens=8), turns)

    assert [*turns, {"role": "assistant", "content": result.final_output}] == [
        {"role": message.role, "content": message.content}
        for message in result.conversation or []
    ]


def test_constrained_outputs_satisfy_their_constraint() -> None:
    """A list of choices bounds what an evaluation gets."""
    result = experiment(choices=["A", "B", "C"], temperature=1.0, samples=3).run()

    assert {"A", "B", "C"} >= {text for texts in outputs(result) for text in texts}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "tinny"}, "tiny"),
        ({"model": "/nowhere/model.gguf"}, "does not exist"),
        ({"temperature": -1.0}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"choices": []}, "choices"),
        ({"regex": "("}, "regular expression"),
        ({"logprobs": -1}, "logprobs"),
        ({"template": "chta"}, "template"),
        ({"window": 10**6}, "window"),
        ({"temprature": 1}, "temperature"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_settings_are_named_before_anything_runs(
    settings: dict[str, Any], said: str
) -> None:
    """A setting that cannot be used is one error that names its place."""
    with pytest.raises(
        (ComponentError, ModelError, ValueError), match=f"generator.*{said}"
    ):
        build(
            "generator",
            {"use": "llama", "model": "tiny", **settings},
            where="generation.generator",
        )


def test_evaluation_never_falls_back(tmp_path: Path) -> None:
    """Without llama-cpp-python an evaluation stops with the command to run; no other
    text stands in.
    """
    program = (
        "import sys\n"
        "sys.modules['llama_cpp'] = None\n"
        "from themis_lib import ModelError, evaluate\n"
        "from themis_lib.adapters import llama\n"
        "try:\n"
        "    evaluate(model=llama(model='tiny'), data=[{'input': 'a', 'expected_output': 'b'}])\n"
        "except ModelError as error:\n"
        "    print(error)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "THEMIS_CACHE_DIR": str(tmp_path)},
    ).stdout

    assert "pip install 'themis-flows[local]'" in said


def test_schema_can_be_put_on_afterwards() -> None:
    """`with_schema` gives the generator that the setting gives; the one it was asked of
    stays as it is.
    """
    plain, schema = llama(model="tiny", max_tokens=32), {"enum": ["yes", "no"]}

    held = plain.with_schema(schema)

    assert (
        llama(model="tiny", max_tokens=32, schema=schema).fingerprint()
        == held.fingerprint()
    )
    assert plain.schema is None


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
