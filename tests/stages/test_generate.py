"""The generate stage: its rows, its keys, and how generators are called."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from themis_lib import (
    Case,
    ConfigError,
    Experiment,
    GenerationResult,
    InMemoryRunStore,
    Price,
    PromptSpec,
    RowError,
    RunResult,
    RuntimeConfig,
    TokenUsage,
)
from themis_lib.components.build import build
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.model_prices import PriceOf
from themis_lib.stages.budget import Budget
from themis_lib.stages.generate import GenerateStage, check_bounded, check_prompt


@dataclass
class Echo:
    """Answers with its input and seed."""

    mode: str = "sync"
    deterministic: bool = False

    component_id = "tests/echo"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    def answer(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        if case.input == "refused":
            raise RowError("refused")
        return GenerationResult(final_output=f"{case.input}/{ctx.seed}")


class SyncEcho(Echo):
    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        return self.answer(case, ctx)


class AsyncEcho(Echo):
    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        await asyncio.sleep(0)
        return self.answer(case, ctx)


class LaterEcho(Echo):
    """A plain function that returns an awaitable."""

    def generate(self, case: Case, ctx: GenerateContext) -> Any:
        async def later() -> GenerationResult:
            return self.answer(case, ctx)

        return later()


class BatchEcho(Echo):
    def generate_batch(
        self, cases: list[Case], contexts: list[GenerateContext]
    ) -> list[Any]:
        results: list[Any] = []
        for case, ctx in zip(cases, contexts, strict=True):
            try:
                results.append(self.answer(case, ctx))
            except RowError as error:
                results.append(error)
        return results


def run(generator: Any, inputs: list[str], **fields: Any) -> RunResult:
    cases = [
        {"case_id": str(index), "input": text} for index, text in enumerate(inputs)
    ]
    spec = {
        "generation": {"generator": generator},
        "datasets": [{"dataset_id": "d", "cases": cases}],
        **fields,
    }
    return Experiment.model_validate(spec).run(
        InMemoryRunStore(), until_stage="generate"
    )


@pytest.mark.parametrize("kind", [SyncEcho, AsyncEcho, LaterEcho, BatchEcho])
def test_generators_may_be_of_any_kind(kind: type) -> None:
    """Sync, async, returning an awaitable, or batch by batch: the same rows."""
    result = run(kind(), ["a", "refused", "b"], seeds=[1, 2], runtime={"batch_size": 2})

    outputs = result.table("outputs")
    assert ['"a/1"', '"a/2"', None, None, '"b/1"', '"b/2"'] == outputs[
        "output"
    ].to_pylist()
    assert ["refused", "refused"] == [
        text for text in outputs["error"].to_pylist() if text
    ]


@pytest.mark.parametrize(("deterministic", "computed"), [(False, 4), (True, 1)])
def test_equal_rows_are_draws_or_one_row(deterministic: bool, computed: int) -> None:
    """The same case and seed twice: independent draws, unless nothing can differ."""
    result = run(SyncEcho(deterministic=deterministic), ["a", "a"], seeds=[1, 1])

    assert computed == result.progress["generate"].computed


def stage(generator: Any, price: Price | None = None) -> GenerateStage:
    return GenerateStage(
        build("generator", generator, where="test"),
        prompt_spec=PromptSpec(),
        seeds=[1],
        runtime=RuntimeConfig(),
        price_of=price and PriceOf("m", {"m": price}),
        budget=Budget(1.0),
    )


@dataclass
class Metered(SyncEcho):
    """Names its model and the most that a call takes."""

    model: str | None = "m"
    max_tokens: int | None = 10

    def most_tokens(self, case: Case, ctx: GenerateContext) -> TokenUsage:
        return TokenUsage(output_tokens=self.max_tokens)


PRICE = Price(input=1.0, output=1.0)


@pytest.mark.parametrize(
    ("generator", "price", "expected"),
    [
        (Metered(), None, "nothing says what 'm' costs"),
        (SyncEcho(), PRICE, "does not say what a call costs at most"),
        (Metered(max_tokens=None), PRICE, "give it max_tokens"),
    ],
)
def test_budget_needs_bounds(
    generator: Any, price: Price | None, expected: str
) -> None:
    """A stage that no budget can hold is refused, with what it lacks."""
    with pytest.raises(ConfigError, match=expected):
        check_bounded([stage(generator, price)])


def test_bounded_stage_is_accepted() -> None:
    """A price, a limit and the most tokens are enough."""
    check_bounded([stage(Metered(), PRICE)])


def test_instructions_are_given_once() -> None:
    """The generator's and the spec's may agree, not differ."""

    class Instructed(SyncEcho):
        instructions = "Be brief."

    generator = build("generator", Instructed(), where="test")

    check_prompt(generator, PromptSpec(instructions="Be brief."), where="generation")
    with pytest.raises(ConfigError, match=r"^generation: .* different instructions"):
        check_prompt(generator, PromptSpec(instructions="Be long."), where="generation")
