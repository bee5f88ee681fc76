"""The generate stage: candidates for cases, by a generator under a prompt spec, one for
each seed.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.components.build import component_identity, reads_of
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prices import Price
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.protocols import case_columns
from themis_lib.errors import ConfigError, RowError, ThemisError
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.budget import Budget
from themis_lib.stages.calls import (
    call_async,
    call_batch,
    call_batches,
    failure_outcome,
    limiter,
    threaded,
    within,
)
from themis_lib.stages.reading import column_digests_of, sample_rows, visible_cases
from themis_lib.stages.stage import Emit, RowOutcome, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import OUTPUTS


class GenerateStage(Stage):
    """Rows are cases × samples. Every key covers the prompt spec, the seed, and the
    columns the generator reads.

    Rows that agree in all of these are independent draws, told apart by their
    occurrence number, unless the generator is `deterministic`; then they are one row.
    """

    name = "generate"
    journal_interval_s = 0.0
    schema = OUTPUTS

    def __init__(
        self,
        generator: Any,
        *,
        prompt_spec: PromptSpec,
        seeds: Sequence[int],
        runtime: RuntimeConfig,
        price: Price | None = None,
        budget: Budget | None = None,
    ) -> None:
        with_runtime = getattr(generator, "with_runtime", None)
        self.generator = with_runtime(runtime) if with_runtime else generator
        self.prompt_spec = prompt_spec
        self.seeds = tuple(seeds)
        self.deterministic = bool(getattr(generator, "deterministic", False))
        self.generator_reads = reads_of("generator", generator)
        self.price = price
        self._runtime = runtime
        self._budget = (
            budget if price and budget and budget.max_cost is not None else None
        )

    @property
    def is_paid(self) -> bool:
        """All calls may cost money but those of a generator that says it is free."""
        return not getattr(self.generator, "is_free", False)

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "generator": component_identity("generator", self.generator),
            "prompt_spec": self.prompt_spec.model_dump(mode="json"),
        }

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.generator_reads, "seed", "occurrence")

    def columns(self, shard: Shard) -> dict[str, Any]:
        names = (
            *case_columns(self.generator_reads),
            *(() if self.deterministic else ("occurrence",)),
        )
        return {
            "cases": column_digests_of(shard.cases, names),
            "seeds": list(self.seeds),
        }

    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        samples = len(self.seeds)
        columns = sample_rows(
            shard, store, samples, (*case_columns(self.generator_reads), "occurrence")
        )
        cases = shard.cases.rows
        columns["seed"] = pa.array(np.tile(np.array(self.seeds, dtype=np.int64), cases))
        columns["occurrence"] = self._occurrences(
            columns["occurrence"].to_numpy(), cases
        )
        columns["error"] = pa.nulls(cases * samples, pa.string())
        return pa.table(columns)

    def _occurrences(self, earlier_cases: np.ndarray[Any, Any], cases: int) -> pa.Array:
        """How many earlier rows of the data set have the same case content and seed."""
        if self.deterministic:
            return pa.array(np.zeros(len(earlier_cases), dtype=np.int64))
        same_seed = [self.seeds.count(seed) for seed in self.seeds]
        earlier_samples = [
            self.seeds[:index].count(seed) for index, seed in enumerate(self.seeds)
        ]
        return pa.array(
            earlier_cases * np.tile(same_seed, cases) + np.tile(earlier_samples, cases)
        )

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        cases = visible_cases(rows, self.generator_reads)
        contexts = self._contexts(rows, cases, run_id)
        if callable(getattr(self.generator, "generate_batch", None)):
            await self._compute_batches(cases, contexts, emit)
            return
        generate = self.generator.generate
        is_async = inspect.iscoroutinefunction(generate) or inspect.iscoroutinefunction(
            getattr(generate, "__call__", None)  # noqa: B004 - an object with an async __call__
        )
        own = bool(getattr(self.generator, "calls_at_once", None))
        width = self.generator.calls_at_once if own else self._runtime.max_concurrency
        call = _timed(generate, cases, contexts, is_async=is_async)
        call = within(
            call if is_async else threaded(call),
            None if own else self._runtime.timeout_s,
        )
        if self._budget and self.price:
            most, price = self._most_cost(cases, contexts, self.price), self.price
            call = _paid(
                call,
                self._budget,
                most,
                lambda _, pair: price.cost(getattr(pair[0], "usage", None)),
            )
        await call_async(
            call,
            len(cases),
            to_record=lambda pair: _record(*pair),
            emit=emit,
            limit=limiter(f"generate/{self.fingerprint}", width),
            width=width,
            unknown_is_fact=False,
        )

    async def _compute_batches(
        self, cases: Sequence[Case], contexts: Sequence[GenerateContext], emit: Emit
    ) -> None:
        size, width = self._runtime.batch_size, self._runtime.max_concurrency
        limit = limiter(f"generate/{self.fingerprint}/batches", max(width // size, 1))

        generate = within(
            partial(call_batch, self.generator.generate_batch, (cases, contexts)),
            self._runtime.timeout_s,
        )
        if self._budget and self.price:
            most, price = self._most_cost(cases, contexts, self.price), self.price

            def cost(position: int, result: Any) -> float:
                if isinstance(result, Exception):
                    return 0.0 if getattr(result, "is_free", False) else most(position)
                return price.cost(getattr(result, "usage", None))

            generate = _paid(
                generate,
                self._budget,
                lambda positions: sum(map(most, positions)),
                lambda positions, results: sum(map(cost, positions, results)),
            )

        async def outcomes(positions: range) -> list[RowOutcome]:
            return [_batch_outcome(result) for result in await generate(positions)]

        await call_batches(outcomes, len(cases), emit=emit, limit=limit, size=size)

    def _most_cost(
        self, cases: Sequence[Case], contexts: Sequence[GenerateContext], price: Price
    ) -> Callable[[int], float]:
        """The dollars that a row costs at most, as its generator says; one that cannot
        say is never held back.
        """
        most_tokens = getattr(self.generator, "most_tokens", None)
        return lambda position: (
            price.cost(most_tokens(cases[position], contexts[position]))
            if most_tokens
            else 0.0
        )

    def _contexts(
        self, rows: pa.Table, cases: Sequence[Case], run_id: str
    ) -> list[GenerateContext]:
        indices = rows["sample_index"].to_pylist()
        if "sample_index" not in self.generator_reads:
            indices = [None] * len(indices)
        ids = zip(
            rows["case_id"].to_pylist(), rows["dataset_id"].to_pylist(), strict=True
        )
        samples = zip(rows["seed"].to_pylist(), indices, strict=True)
        return [
            GenerateContext(
                run_id,
                case_id,
                dataset_id,
                seed,
                sample_index,
                self.prompt_spec,
                case.metadata,
            )
            for (case_id, dataset_id), (seed, sample_index), case in zip(
                ids, samples, cases, strict=True
            )
        ]


def check_instructions(generator: Any, prompt_spec: PromptSpec, *, where: str) -> None:
    """Raises `ConfigError` where a generator and its prompt spec differ in their
    instructions, which are sent once.
    """
    own = getattr(generator, "instructions", None)
    if own is not None and prompt_spec.instructions not in (None, own):
        raise ConfigError(
            f"{where}: the generator and its prompt spec have different instructions; only one can be sent; remove one"
        )


def check_bounded(stages: Sequence[GenerateStage]) -> None:
    """Raises `ConfigError` for a stage of whose calls nothing says what they cost at
    most: no budget can hold it.
    """
    for stage in stages:
        generator = stage.generator
        if not stage.is_paid:
            continue
        place = f"cost.max_cost: {stage.label}: {generator.component_id}"
        model = getattr(generator, "model", None)
        if stage.price is None and model is not None:
            raise ConfigError(
                f"{place}: nothing says what {model!r} costs; add cost.prices.{model}: {{input: …, output: …}}"
            )
        if stage.price is None or not callable(getattr(generator, "most_tokens", None)):
            raise ConfigError(
                f"{place} does not say what a call costs at most (`model` and `most_tokens`); leave max_cost out"
            )
        if getattr(generator, "max_tokens", 0) is None:
            raise ConfigError(
                f"{place}: give it max_tokens, so that a call has a price at most"
            )


def _timed(
    generate: Any,
    cases: Sequence[Case],
    contexts: Sequence[GenerateContext],
    *,
    is_async: bool,
) -> Any:
    """`generate` for a position, with the seconds it took."""

    async def call_and_time(position: int) -> tuple[Any, float]:
        began = time.perf_counter()
        result = await generate(cases[position], contexts[position])
        return result, time.perf_counter() - began

    def time_and_call(position: int) -> Any:
        began = time.perf_counter()
        result = generate(cases[position], contexts[position])
        if inspect.isawaitable(result):
            return _awaited(result, began)
        return result, time.perf_counter() - began

    return call_and_time if is_async else time_and_call


def _paid(
    call: Callable[[Any], Awaitable[Any]],
    budget: Budget,
    most: Callable[[Any], float],
    cost: Callable[[Any, Any], float],
) -> Callable[[Any], Awaitable[Any]]:
    """A call, of a row or of a batch, that is made when the budget has room for what it
    costs at most.
    """

    async def reserve_and_call(at: Any) -> Any:
        at_most = most(at)
        async with budget.reserved(at_most) as receipt:
            receipt.cost = at_most  # also of a call that fails: nobody says what the provider charged for it
            try:
                result = await call(at)
            except ThemisError as error:
                receipt.cost = 0.0 if error.is_free else at_most
                raise
            receipt.cost = cost(at, result)
            return result

    return reserve_and_call


async def _awaited(result: Any, began: float) -> tuple[Any, float]:
    return await result, time.perf_counter() - began


def _batch_outcome(result: Any) -> RowOutcome:
    try:
        if isinstance(result, Exception):
            raise result
        return _record(result, None)
    except Exception as error:  # noqa: BLE001 - a component may return any exception
        return failure_outcome(error, unknown_is_fact=False)


def _record(result: Any, latency_s: float | None) -> Mapping[str, Any]:
    """A result as a row of the outputs table; what is not JSON is a fact about the row,
    not a crash.
    """
    if not isinstance(result, GenerationResult):
        raise RowError(
            f"the generator returned {type(result).__name__}, not a GenerationResult"
        )
    try:
        return _row(result, latency_s)
    except (ValueError, TypeError) as error:
        raise RowError(f"the generator's result cannot be kept: {error}") from None


def _row(result: GenerationResult, latency_s: float | None) -> dict[str, Any]:
    latency = result.latency_s if result.latency_s is not None else latency_s
    row: dict[str, Any] = {
        "output": None
        if result.final_output is None
        else canonical_json(result.final_output),
        "finish_reason": result.finish_reason,
        "latency_s": None if latency is None else round(latency, 6),
        "error": result.error,
    }
    if result.trace is not None:
        row["trace"] = canonical_json(
            [step.model_dump(mode="python") for step in result.trace]
        )
    if result.conversation is not None:
        row["conversation"] = canonical_json(
            [message.model_dump(mode="python") for message in result.conversation]
        )
    if result.artifacts is not None:
        row["artifacts"] = canonical_json(result.artifacts)
    if result.transport is not None:
        row["transport"] = canonical_json(result.transport)
    if result.usage is not None:
        row.update(result.usage.model_dump())
    if result.final_output is None and result.error is None:
        row["error"] = "the generator returned no output"
    return row
