"""Steps outside a run: made at once, and kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from themis_lib.components.records import BuiltGenerator, BuiltTool
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prompts import PromptSpec
from themis_lib.errors import RowError
from themis_lib.stages.calls import call_batch, in_thread
from themis_lib.stages.stepped import call_tool


@dataclass(frozen=True)
class DirectSteps:
    """The steps of one row, for a generator that is called by hand."""

    case: Case
    ctx: GenerateContext
    asks: Mapping[str, BuiltGenerator]
    tools: Mapping[str, BuiltTool]

    async def ask(
        self,
        name: str,
        value: JsonValue,
        *,
        seed: int,
    ) -> GenerationResult:
        """Return what a generator says to an input; see `core.steps.Steps`."""
        generator = self.asks[name]
        first = next(iter(self.asks))
        told = self.ctx.prompt_spec.instructions if name == first else None
        ctx = replace(self.ctx, seed=seed, prompt_spec=PromptSpec(instructions=told))
        case = self.case.model_copy(update={"input": value})
        try:
            return await _answer(generator, case, ctx)
        except RowError as error:
            return GenerationResult(error=str(error))

    async def call(
        self,
        name: str,
        value: JsonValue,
        *,
        after: JsonValue,
    ) -> GenerationResult:
        """Return what a function returns for arguments; see `core.steps.Steps`."""
        return await call_tool(self.tools[name], value, None)


async def _answer(
    generator: BuiltGenerator,
    case: Case,
    ctx: GenerateContext,
) -> GenerationResult:
    result: Any
    if generator.generate is None:
        assert generator.generate_batch is not None  # `build` refuses one with neither
        columns = ([case], [ctx])
        (result,) = await call_batch(generator.generate_batch, columns, range(1))
    elif generator.is_async:
        result = generator.generate(case, ctx)
        result = await result
    else:
        result = await in_thread(generator.generate, case, ctx)
    if isinstance(result, Exception):
        raise result
    answer: GenerationResult = result
    return answer
