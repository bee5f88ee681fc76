"""Runs whose scores a test writes down: each case says what its samples score."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    ParsedOutput,
    RowError,
    RunResult,
    RunStore,
    Score,
    TokenUsage,
)
from themis_lib.core.config import StatisticsConfig
from themis_lib.core.contexts import GenerateContext, ScoreContext

#: `None` for a sample whose metric fails, "none" for one without an answer.
Said = float | str | None
Scores = Said | Sequence[Said]


@dataclass(frozen=True)
class Stated:
    """Answers with the scores that a case states under its metadata `scores`, by
    seed.
    """

    model: str = "m1"

    component_id = "tests/stated_generator"
    version = "1"
    reads = ("input", "metadata")

    def fingerprint(self) -> str:
        return self.model

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        score = case.metadata["scores"][ctx.seed]
        if score == "none":
            return GenerationResult(error="the model refused: no")
        return GenerationResult(
            final_output=json.dumps(score),
            usage=TokenUsage(input_tokens=10, output_tokens=2),
        )


@dataclass(frozen=True)
class StatedScore:
    """The number in the answer, `scale` times; no score for null.

    Where `scale` is negative, a lower score is better.
    """

    scale: float = 1.0

    component_id = "tests/stated_metric"
    version = "1"
    reads = ("value",)

    @property
    def higher_is_better(self) -> bool:
        return self.scale >= 0

    def fingerprint(self) -> str:
        return str(self.scale)

    def score(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Score:
        score = json.loads(parsed.value)
        if score is None:
            raise RowError("no score")
        return Score(value=self.scale * score)


def case(
    name: str,
    scores: Scores,
    *,
    case_id: str | None = None,
    expected: Any = None,
    **metadata: Any,
) -> Case:
    """A case with the input `name`, and the score of its sample, or of each of them."""
    is_several = isinstance(scores, Sequence) and not isinstance(scores, str)
    each = list(scores) if is_several else [scores]
    return Case(
        case_id=case_id or name,
        input=name,
        expected_output=expected,
        metadata={"scores": each, **metadata},
    )


def run_of(
    store: RunStore,
    cases: Sequence[Case] | Mapping[str, Sequence[Case]],
    *,
    name: str = "stated",
    model: str = "m1",
    metrics: Mapping[str, StatedScore] | None = None,
    slices: Sequence[str] = (),
    until_stage: str = "reduce",
    reducer: str = "builtin/mean",
    statistics: Mapping[str, Any] | None = None,
) -> RunResult:
    """A finished run of cases, or of the cases of several datasets."""
    datasets = cases if isinstance(cases, Mapping) else {"d": cases}
    samples = len(next(iter(datasets.values()))[0].metadata["scores"])
    experiment = Experiment(
        name=name,
        generation=GenerationConfig(generator=Stated(model), reducer=reducer),
        datasets=[
            Dataset(dataset_id=dataset_id, cases=list(each))
            for dataset_id, each in datasets.items()
        ],
        evaluation=EvaluationConfig(
            metrics=[
                {
                    "use": "tests.support.compared_runs:StatedScore",
                    "id": metric_id,
                    "scale": metric.scale,
                }
                for metric_id, metric in (metrics or {"m": StatedScore()}).items()
            ],
            slices=list(slices),
            statistics=StatisticsConfig(**(statistics or {})),
        ),
        seeds=list(range(samples)),
    )
    return experiment.run(store, until_stage=until_stage)


def scored(values: Sequence[Scores], **metadata: Any) -> list[Case]:
    """Cases q0, q1, … with these scores."""
    return [case(f"q{at}", value, **metadata) for at, value in enumerate(values)]
