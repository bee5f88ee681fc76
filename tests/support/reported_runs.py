"""Runs to report."""

from __future__ import annotations

import json
from typing import Any

from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    Message,
    PromptSpec,
    RowError,
    RunResult,
    Score,
    StorageConfig,
    TokenUsage,
    TraceStep,
)
from themis_lib.core.config import CandidatePolicy

HOSTILE = (
    '<script>document.title = "owned"</script><img src=x onerror="document.title = '
    '1"></script><!-- <script> &amp;'
)


class Echo:
    """Says its input, the same for every sample but the number of the draw; refuses
    what begins with `refuse`.
    """

    component_id = "tests/echo"
    version = "1"
    reads = ("input",)

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def fingerprint(self) -> str:
        return self.prefix

    async def generate(self, case: Case, ctx: Any) -> GenerationResult:
        text = case.input if isinstance(case.input, str) else json.dumps(case.input)
        if text.startswith("refuse"):
            raise RowError(f"refused {text}")
        return GenerationResult(
            final_output=f"{self.prefix}{text}",
            finish_reason="stop",
            usage=TokenUsage(input_tokens=7, output_tokens=3),
            trace=[
                TraceStep(
                    name="look up",
                    event="tool",
                    input={"query": text[:50]},
                    output="found",
                )
            ],
            conversation=[
                Message(
                    role="assistant",
                    content=None,
                    tool_calls=[{"id": "1", "function": {"name": text[:50]}}],
                )
            ],
        )


class Length:
    """How long the answer is; reads nothing else."""

    component_id = "tests/length"
    version = "1"
    reads = ("value",)

    def fingerprint(self) -> str:
        return ""

    def score(self, answer: Any, case: Case, ctx: Any) -> Score:
        return Score(
            value=float(len(str(answer.value))),
            details={"characters": len(str(answer.value))},
        )


def cases(count: int) -> list[Case]:
    """Cases whose echo is right in two of three, in two kinds; the fifth is refused."""
    return [
        Case(
            case_id=f"case-{number:03d}",
            input=f"refuse {number}"
            if number == 5
            else f"question {number}" + " and more" * number,
            expected_output=f"question {number}" + " and more" * number
            if number % 3
            else "something else",
            metadata={"kind": "even" if number % 2 == 0 else "odd", "number": number},
        )
        for number in range(count)
    ]


def run(
    *datasets: Dataset,
    metrics: list[Any],
    samples: int = 1,
    prefix: str = "",
    name: str = "echo",
    spec: PromptSpec | None = None,
    until: str = "reduce",
    shard_size: int | None = None,
    slices: list[str] | None = None,
) -> RunResult:
    """A finished run in memory."""
    return Experiment(
        name=name,
        generation=GenerationConfig(
            generator=Echo(prefix),
            prompt_spec=spec or PromptSpec(),
            candidate_policy=CandidatePolicy(num_samples=samples),
        ),
        evaluation=EvaluationConfig(
            metrics=metrics, parsers=["builtin/text"], slices=slices or []
        ),
        storage=StorageConfig(store="memory"),
        datasets=list(datasets),
        runtime={"shard_size": shard_size},
    ).run(until_stage=until)


def echo_run(count: int = 12, **options: Any) -> RunResult:
    """The echo of some cases, by one metric of 0 and 1 and one of lengths."""
    options.setdefault(
        "metrics",
        [
            "builtin/exact_match",
            {"use": "tests.support.reported_runs:Length", "id": "length"},
        ],
    )
    options.setdefault("slices", ["kind"])
    return run(Dataset(dataset_id="questions", cases=cases(count)), **options)
