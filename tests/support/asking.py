"""One question to a generator, and experiments of many."""

from __future__ import annotations

import asyncio
from typing import Any

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
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import GenerationResult


def context(*, seed: int = 7, **spec: Any) -> GenerateContext:
    """The circumstances of one question under a prompt spec."""
    return GenerateContext("run", "case", "dataset", seed, None, PromptSpec(**spec))


def ask(
    generator: Any,
    value: Any = "2+2",
    *,
    seed: int = 7,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> GenerationResult:
    """What a generator answers to one input."""
    case = Case(case_id="case", input=value, metadata=metadata or {})
    return asyncio.run(generator.generate(case, context(seed=seed, **spec)))


def questions(
    generator: Any,
    count: int = 1,
    *,
    store: str = "memory",
    inputs: list[Any] | None = None,
    **settings: Any,
) -> Experiment:
    """An experiment of `count` questions, each with its own text."""
    values = inputs or [f"question {number}" for number in range(count)]
    return Experiment(
        generation=GenerationConfig(
            generator=generator,
            prompt_spec=settings.pop("prompt_spec", PromptSpec()),
        ),
        evaluation=EvaluationConfig(metrics=settings.pop("metrics", [])),
        storage=StorageConfig(store=store),
        runtime=RuntimeConfig(**settings.pop("runtime", {})),
        datasets=[
            Dataset(
                dataset_id="questions",
                cases=[
                    Case(case_id=str(at), input=value, expected_output="x")
                    for at, value in enumerate(values)
                ],
            )
        ],
        seeds=settings.pop("seeds", [7]),
        **settings,
    )


def rows(result: RunResult) -> list[GenerationResult]:
    """What was generated, in order."""
    return [
        candidate for case in result.cases for candidate in case.generated_candidates
    ]


def outputs(result: RunResult) -> list[Any]:
    return [row.final_output for row in rows(result)]
