"""Graphs in an evaluation: experiments over words, and the answer to one input."""

from __future__ import annotations

from typing import Any

from tests.support.asking import ask
from themis_lib import (
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
from themis_lib.core.models import GenerationResult

INPUTS: list[Any] = ["one", "two", "three"]


def experiment(
    generator: Any,
    store: str = "memory",
    *,
    inputs: list[Any] | None = None,
    prompt_spec: PromptSpec | None = None,
    metadata: dict[str, Any] | None = None,
    seeds: list[int] | None = None,
    runtime: RuntimeConfig | None = None,
) -> Experiment:
    """An experiment of a few words with one generator."""
    cases = [
        Case(
            case_id=str(number),
            input=value,
            expected_output="one/7",
            metadata=metadata or {},
        )
        for number, value in enumerate(inputs or INPUTS)
    ]
    return Experiment(
        generation=GenerationConfig(
            generator=generator, prompt_spec=prompt_spec or PromptSpec()
        ),
        evaluation=EvaluationConfig(metrics=["builtin/exact_match"]),
        storage=StorageConfig(store=store),
        runtime=runtime or RuntimeConfig(),
        datasets=[Dataset(dataset_id="words", cases=cases)],
        seeds=seeds or [7],
    )


def candidates(result: RunResult) -> list[GenerationResult]:
    """What was generated, in order."""
    return [
        candidate for case in result.cases for candidate in case.generated_candidates
    ]


def answer(
    generator: Any, value: Any, *, seed: int = 7, **spec: Any
) -> GenerationResult:
    """What a generator answers to one input, after its check."""
    generator.check()
    return ask(generator, value, seed=seed, **spec)
