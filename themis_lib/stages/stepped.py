"""The generate stage of a generator that makes each row of several calls."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Self

import pyarrow as pa
from pydantic_core import to_jsonable_python

from themis_lib.components.records import BuiltComponent, BuiltGenerator, BuiltTool
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prices import Price
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.protocols import case_columns
from themis_lib.errors import (
    FatalError,
    RowError,
    TransientError,
    describe,
    is_transient,
)
from themis_lib.identity.digests import load_json
from themis_lib.stages.budget import Budget
from themis_lib.stages.calls import in_thread
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.outputs import output_record
from themis_lib.stages.progress import Progress
from themis_lib.stages.stage import Emit, Stage
from themis_lib.stages.step_rows import RowSteps, StepRows
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import OUTPUTS

#: How often the steps of stores without locks are looked after.
_FLUSH_S = 1.0


class AskStage(GenerateStage):
    """Rows are what one generator says to inputs that other rows are made of."""

    name = "step"

    def __init__(
        self,
        member: str,
        generator: BuiltGenerator,
        **settings: Any,
    ) -> None:
        super().__init__(generator, seeds=(0,), **settings)
        self._member = member

    @property
    def label(self) -> str:
        return f"step[{self._member}]"


class ToolStage(Stage):
    """Rows are what one function returns for the arguments of a call.

    `after` is what happened before the call, which may have changed what it finds.
    """

    name = "step"
    journal_interval_s = 0.0
    schema = OUTPUTS
    reads = ("input", "after", "occurrence")

    def __init__(
        self,
        tool: BuiltTool,
        *,
        timeout_s: float | None,
    ) -> None:
        self.tool = tool
        self._timeout_s = timeout_s

    @property
    def label(self) -> str:
        return f"step[tool:{self.tool.name}]"

    @property
    def identity(self) -> dict[str, Any]:
        return {"tool": self.tool.identity}

    @property
    def components(self) -> tuple[BuiltComponent, ...]:
        return (self.tool,)

    def columns(
        self,
        shard: Shard,
        store: RunStore,
    ) -> dict[str, Any]:
        # Its rows come one at a time: no shard is made of them.
        return {}

    def rows(
        self,
        shard: Shard,
        store: RunStore,
    ) -> pa.Table:
        return pa.table({})

    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        for position, text in enumerate(rows["input"].to_pylist()):
            result = await call_tool(self.tool, load_json(text), self._timeout_s)
            try:
                emit([(position, output_record(result, None))])
            except RowError as error:
                emit([(position, {"error": f"the tool's result is no JSON: {error}"})])


async def call_tool(
    tool: BuiltTool,
    arguments: Any,
    timeout_s: float | None,
) -> GenerationResult:
    """Return what a tool returns, or, as `error`, what the model is told went wrong.

    Raise `TransientError` for what might not happen again: a timeout, a lost connection.
    """
    definition: Any = tool.tool.definition
    try:
        bound = tool.tool.bind(arguments)
        async with asyncio.timeout(timeout_s):
            if inspect.iscoroutinefunction(definition):
                value = await definition(**bound)
            else:
                value = await in_thread(partial(definition, **bound))
        # Dates, dataclasses and models as JSON: what the model is told is a text.
        returned = to_jsonable_python(value)
    except FatalError:
        raise
    except Exception as error:
        if is_transient(error):
            raise TransientError(f"tool {tool.name}: {describe(error)}") from error
        said = str(error) if isinstance(error, RowError) else describe(error)
        return GenerationResult(error=said)
    # A function may return nothing: that is an answer of a tool, and no error.
    return GenerationResult(final_output={"returned": returned})


class SteppedStage(GenerateStage):
    """Generate, where each row is made of calls to other generators and functions.

    The calls are rows of stages of their own, `steps`, kept as they are answered. A
    budget pays for them one by one; the stage itself costs nothing more.
    """

    def __init__(
        self,
        generator: BuiltGenerator,
        *,
        prompt_spec: PromptSpec,
        seeds: Sequence[int],
        runtime: RuntimeConfig,
        prices: Mapping[str, Price],
        budget: Budget,
    ) -> None:
        model, *_ = generator.asks.values()
        # A row takes as long as its calls do, which have a limit and a timeout each.
        width = model.with_runtime(runtime).calls_at_once or runtime.max_concurrency
        super().__init__(
            replace(generator, calls_at_once=width),
            prompt_spec=prompt_spec,
            seeds=seeds,
            runtime=runtime,
            price_of=model.price_of(prices),
        )
        self.asks: dict[str, AskStage] = {}
        for name, asked in generator.asks.items():
            told = prompt_spec.instructions if asked is model else None
            self.asks[name] = AskStage(
                name,
                asked,
                prompt_spec=PromptSpec(instructions=told),
                runtime=runtime,
                price_of=asked.price_of(prices),
                budget=budget,
            )
        self.tools = {
            name: ToolStage(tool, timeout_s=runtime.timeout_s)
            for name, tool in generator.tools.items()
        }
        self._kinds: Mapping[str, StepRows] = {}

    @property
    def steps(self) -> tuple[Stage, ...]:
        return (*self.asks.values(), *self.tools.values())

    @property
    def counts_tokens(self) -> bool:
        # Its calls count their own: a row may be made of calls that were paid before.
        return False

    @property
    def components(self) -> tuple[BuiltComponent, ...]:
        asked = self.generator.asks.values()
        return (self.generator, *asked, *self.generator.tools.values())

    @asynccontextmanager
    async def opened(
        self,
        store: RunStore,
        progress: Progress,
    ) -> AsyncIterator[Self]:
        """Open the rows of its steps for a block that computes rows of a shard."""
        opened = copy.copy(self)
        kinds: dict[str, StepRows] = {}
        opened._kinds = kinds
        for name, asked in self.asks.items():
            is_model = asked is next(iter(self.asks.values()))
            kinds[name] = StepRows(
                asked,
                store,
                progress,
                in_batches=asked.generator.generate_batch is not None,
                charged_to=self.label if is_model else None,
            )
        for name, tool in self.tools.items():
            kinds[f"tool:{name}"] = StepRows(tool, store, progress)
        flushing = asyncio.ensure_future(_flush(kinds.values()))
        async with AsyncExitStack() as closing:
            for rows in kinds.values():
                closing.push_async_callback(rows.close)
            try:
                yield opened
            finally:
                flushing.cancel()
                await asyncio.gather(flushing, return_exceptions=True)

    def _make_contexts(
        self,
        rows: pa.Table,
        cases: Sequence[Case],
        run_id: str,
    ) -> list[GenerateContext]:
        names = ["dataset_id", "case_id", "sample_index"]
        names += [
            name for name in case_columns(self.generator_reads) if name not in names
        ]
        records = rows.select(names).to_pylist()
        contexts = super()._make_contexts(rows, cases, run_id)
        return [
            replace(
                context, steps=RowSteps(self._kinds, record, self._draw(record), run_id)
            )
            for context, record in zip(contexts, records, strict=True)
        ]

    def _draw(self, record: Mapping[str, Any]) -> str | None:
        """Return what tells the draws of a row from those of rows that ask the same.

        `None` where equal calls have equal answers. An edit of a case's later turns is
        still of the same case, so that its earlier turns are found.
        """
        if self.deterministic:
            return None
        index = record["sample_index"]
        # A seed that is given twice is two draws.
        earlier = self.seeds[:index].count(self.seeds[index])
        return f"{record['dataset_id']}/{record['case_id']}/{earlier}"


async def _flush(kinds: Any) -> None:
    """Make steps safe in time, also while no other step finishes."""
    while True:
        await asyncio.sleep(_FLUSH_S)
        for rows in kinds:
            with suppress(OSError):
                rows.flush()
