"""The generate stage: one candidate for each case and seed, under a prompt spec."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import pyarrow as pa

from themis_lib.components.records import BuiltComponent, BuiltGenerator
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.model_prices import PriceOf
from themis_lib.core.models import Case
from themis_lib.core.parts import Contents, NoContents, is_parts
from themis_lib.core.prompts import PromptSpec, template_of
from themis_lib.core.protocols import case_columns
from themis_lib.errors import ConfigError, InputError, RowError, escape_surrogates
from themis_lib.identity.digests import canonical_json, digest, load_json
from themis_lib.stages.batched_rows import AskedRows, BatchedRows, Spending
from themis_lib.stages.batching import batching_of
from themis_lib.stages.budget import Budget, paid_call
from themis_lib.stages.call_costs import CallCosts
from themis_lib.stages.calls import (
    AsyncCall,
    OutcomeSink,
    call_async,
    call_batch,
    call_batches,
    failure_outcome,
    limiter,
    threaded,
    within,
)
from themis_lib.stages.few_shot import FewShotExamples
from themis_lib.stages.outputs import output_record
from themis_lib.stages.prefixes import (
    after_first,
    prefix_names,
    sending_order,
    sent_prefixes,
)
from themis_lib.stages.progress import Progress
from themis_lib.stages.reading import (
    column_digests_of,
    read,
    sample_rows,
    visible_cases,
)
from themis_lib.stages.stage import Emit, RowOutcome, Stage
from themis_lib.stages.timed_calls import timed_coroutine, timed_function
from themis_lib.storage.batch_ledger import BatchLedger
from themis_lib.storage.contents import StoredContents
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import OUTPUTS
from themis_lib.telemetry.attributes import Callee
from themis_lib.telemetry.model_calls import traced_batches, traced_calls

#: The version of prompts of content parts that a template makes; they were JSON texts.
PARTS_VERSION = "parts-1"

#: More rows than any shard has.
_WHOLE_SHARD = 2**31


@dataclass(frozen=True)
class Prompt:
    """What a generator is given as a case's input, as JSON, or the reason of none.

    `examples` is the digest of the few-shot examples in it.
    """

    prompt: str | None = None
    examples: str | None = None
    error: str | None = None


class GenerateStage(Stage):
    """Rows are cases × samples.

    Every key covers the prompt spec, the seed, and the columns the generator reads.
    Rows that agree in all of these are independent draws, told apart by their
    occurrence number, unless the generator is `deterministic`; then they are one row.
    """

    name = "generate"
    # Every finished row is made safe at once: it may have cost money.
    journal_interval_s = 0.0
    schema = OUTPUTS

    def __init__(
        self,
        generator: BuiltGenerator,
        *,
        prompt_spec: PromptSpec,
        seeds: Sequence[int],
        runtime: RuntimeConfig,
        examples: FewShotExamples | None = None,
        price_of: PriceOf | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.generator = generator.with_runtime(runtime)
        self.prompt_spec = prompt_spec
        self.template = template_of(prompt_spec)
        self.examples = examples
        # Given twice, a seed is two samples.
        self.seeds = tuple(seeds)
        self.price_of = price_of
        self.batching = batching_of(
            self.generator,
            runtime.batch,
            None if runtime.batch is None else self.price,
        )
        self._opened_in: tuple[RunStore, Progress] | None = None
        self._runtime = runtime
        self._contents: Contents = NoContents()
        self._budget: Budget | None = None
        # Without a limit nobody asks for the price yet.
        if budget is not None and budget.max_cost is not None and self.price:
            self._budget = budget

    @property
    def deterministic(self) -> bool:
        """Whether equal rows are computed once."""
        return self.generator.deterministic

    @property
    def generator_reads(self) -> tuple[str, ...]:
        """The columns that the generator reads."""
        return self.generator.reads

    @property
    def is_paid(self) -> bool:
        """Whether its calls may cost money: unless the generator says it is free."""
        return not self.generator.is_free

    @property
    def calls_model(self) -> bool:
        return self.generator.model is not None

    @property
    def claimed_in_flight(self) -> int:
        runtime = self._runtime
        if self.batching is not None:
            # All rows of a shard are one batch, as far as the provider takes them.
            return _WHOLE_SHARD
        if self.generator.generate_batch is not None:
            # A batch of rows that were claimed is never cut for want of a few.
            return self._batches_at_once * runtime.batch_size
        return self.generator.calls_at_once or runtime.max_concurrency

    @property
    def _batches_at_once(self) -> int:
        # The limit counts calls in flight; a batch counts as its rows.
        return max(self._runtime.max_concurrency // self._runtime.batch_size, 1)

    @property
    def goes_by_batch(self) -> bool:
        return self.batching is not None

    @property
    def global_limit(self) -> str | None:
        return self.generator.global_limit

    @property
    def components(self) -> tuple[BuiltComponent, ...]:
        return (self.generator,)

    def with_seeds(self, seeds: Sequence[int]) -> Self:
        """Return the same computation for other draws, and live: none goes by batch."""
        drawing = copy.copy(self)
        drawing.seeds = tuple(seeds)
        drawing.batching = None
        return drawing

    @property
    def identity(self) -> dict[str, Any]:
        identity: dict[str, Any] = {
            "generator": self.generator.identity,
            "prompt_spec": self.prompt_spec.model_dump(mode="json"),
        }
        prompt_version = self.generator.prompt_version
        if prompt_version is not None:
            version = prompt_version(self.prompt_spec)
            # Only where it is set: the rows of all other prompts are found.
            if version is not None:
                identity["prompt_version"] = version
        # The examples themselves are in the keys of the rows that they go before.
        if self.examples is not None:
            identity["few_shot"] = self.examples.identity
        return identity

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.generator_reads, "seed", "occurrence")

    def columns(
        self,
        shard: Shard,
        store: RunStore,
    ) -> dict[str, Any]:
        names = list(case_columns(self.generator_reads))
        # Nothing tells equal rows of a deterministic generator apart.
        if not self.deterministic:
            names.append("occurrence")
        columns: dict[str, Any] = {
            "cases": column_digests_of(shard.cases, names),
            "seeds": list(self.seeds),
        }
        if self.examples is not None:
            columns["examples"] = self.examples.digest
        # Which inputs have a version only their rows know: each of them is looked up.
        if shard.has_parts and "input" in self.reads:
            columns["input_version"] = PARTS_VERSION
        return columns

    def keys(self, rows: pa.Table) -> pa.Array:
        if "input" not in self.reads:
            return super().keys(rows)
        inputs = rows["input"].to_pylist()
        texts = list(map(self._with_version, inputs))
        if self.template is not None and "prompt" in rows.column_names:
            prompts = rows["prompt"].to_pylist()
            texts = list(map(_with_parts_version, texts, prompts))
        if "examples" in rows.column_names:
            examples = rows["examples"].to_pylist()
            texts = list(map(_with_examples, texts, examples))
        if texts != inputs:
            at = rows.column_names.index("input")
            rows = rows.set_column(at, "input", pa.array(texts, pa.string()))
        return super().keys(rows)

    def _with_version(self, text: str | None) -> str | None:
        """Return an input's JSON as a key covers it: with its version, if it has one."""
        input_version = self.generator.input_version
        # Only a list can be a conversation: most inputs need not be parsed.
        if input_version is None or text is None or not text.startswith("["):
            return text
        version = input_version(load_json(text), self.prompt_spec)
        # Behind the JSON, which no other input's text can be.
        return text if version is None else f"{text}@{version}"

    def rows(
        self,
        shard: Shard,
        store: RunStore,
    ) -> pa.Table:
        self.read_contents(store)
        samples = len(self.seeds)
        cases = shard.cases.rows
        names = (*case_columns(self.generator_reads), "occurrence")
        # The occurrence is counted by the data; here it is repeated for each sample.
        columns = sample_rows(
            shard,
            store,
            samples,
            names,
        )
        seeds = np.array(self.seeds, dtype=np.int64)
        columns["seed"] = pa.array(np.tile(seeds, cases))
        earlier_cases = columns["occurrence"].to_numpy()
        occurrences = np.zeros(len(earlier_cases), dtype=np.int64)
        # Independent draws of equal rows need different keys: count the earlier rows of
        # the dataset with the same case content and seed.
        if not self.deterministic:
            same_seed = []
            earlier_samples = []
            # A seed that is given twice is two draws, too.
            for index, seed in enumerate(self.seeds):
                same_seed.append(self.seeds.count(seed))
                earlier_samples.append(self.seeds[:index].count(seed))
            of_earlier_cases = earlier_cases * np.tile(same_seed, cases)
            occurrences = of_earlier_cases + np.tile(earlier_samples, cases)
        columns["occurrence"] = pa.array(occurrences)
        columns["error"] = pa.nulls(cases * samples, pa.string())
        # Recorded outputs were asked for elsewhere, and are found by case id.
        if self.makes_prompts and "input" in self.generator_reads:
            inputs = read(store, shard.cases)["input"].to_pylist()
            prompts = [self.prompt_of(text) for text in inputs]
            # The samples of a case are next to each other.
            for name in ("prompt", "examples", "error"):
                values = []
                # Not by NumPy, whose texts all take the space of the longest.
                for prompt in prompts:
                    values += [getattr(prompt, name)] * samples
                columns[name] = pa.array(values, pa.string())
        return pa.table(columns)

    @property
    def makes_prompts(self) -> bool:
        """Whether a generator is given more than the input: a template, or examples."""
        return self.template is not None or self.examples is not None

    def read_contents(self, store: RunStore) -> None:
        """Let the rows that follow find the files of their cases in a store."""
        examples = None if self.examples is None else self.examples.files.read
        self._contents = StoredContents(store, examples)

    def prompt_of(self, case_input: str) -> Prompt:
        """Return what a generator is given as the input of a case, by its own as JSON."""
        try:
            value = load_json(case_input)
            if self.template is not None:
                value = self.template.render(value)
            examples = None
            if self.examples is not None:
                chosen = self.examples.choose(case_input, value)
                value = self.examples.lay_out(chosen, value)
                examples = digest("examples", [item.content for item in chosen])
            return Prompt(canonical_json(value), examples)
        # Half of a surrogate pair has no JSON form.
        except (RowError, ValueError) as error:
            return Prompt(error=escape_surrogates(str(error)))

    def sending_order(self, rows: pa.Table) -> list[int]:
        if not self._has_prompt_cache(rows):
            return super().sending_order(rows)
        return sending_order(
            self._prompt_texts(rows),
            in_flight=self.claimed_in_flight,
        )

    def _has_prompt_cache(self, rows: pa.Table) -> bool:
        """Whether a provider may charge less for the beginning of a row's prompt."""
        return self.calls_model and self.is_paid and "input" in rows.column_names

    def _prompt_texts(self, rows: pa.Table) -> list[str]:
        """Return texts that begin alike where the prompts of rows do."""
        spec = self.prompt_spec
        instructions = self.generator.instructions or spec.instructions or ""
        in_front = "\n".join([instructions, spec.prefix or "", *map(str, spec.blocks)])
        name = "prompt" if "prompt" in rows.column_names else "input"
        texts = []
        for text in rows[name].to_pylist():
            # Prefix and blocks go around the last turn of a conversation.
            is_conversation = text is not None and text.startswith("[")
            head = instructions if is_conversation else in_front
            texts.append(f"{head}{text}")
        return texts

    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        if self.batching is None or self._opened_in is None:
            await self._compute_live(rows, run_id, emit)
        else:
            await self._compute_by_batch(rows, run_id, emit, *self._opened_in)

    @asynccontextmanager
    async def opened(
        self,
        store: RunStore,
        progress: Progress,
    ) -> AsyncIterator[Self]:
        """Return the stage for a block that computes rows; batches are noted in a store."""
        opened = copy.copy(self)
        opened._opened_in = store, progress
        yield opened

    async def _compute_live(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        prefixes = None
        if self._has_prompt_cache(rows):
            prefixes = list(map(prefix_names, self._prompt_texts(rows)))
        cases, contexts = self._asked(rows, run_id)
        if self.generator.generate_batch is not None:
            await self._compute_batches(cases, contexts, emit)
        else:
            await self._compute_singly(
                cases,
                contexts,
                emit,
                prefixes=prefixes,
            )

    async def _compute_by_batch(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
        store: RunStore,
        progress: Progress,
    ) -> None:
        assert self.batching is not None  # `compute` asks
        cases, contexts = self._asked(rows, run_id)
        spending = None
        if self._budget and self.price:
            costs = CallCosts(self.generator, self.price, cases, contexts)
            spending = Spending(costs, self._budget)
        batched = BatchedRows(
            self.batching,
            BatchLedger(store, self.name, self.fingerprint),
            AskedRows(self.keys(rows).to_pylist(), cases, contexts),
            label=self.label,
            emit=emit,
            progress=progress,
            spending=spending,
        )
        live = await batched.compute()
        if live:
            await self._compute_live(
                rows.take(pa.array(live, pa.int64())),
                run_id,
                lambda outcomes: emit([(live[at], row) for at, row in outcomes]),
            )

    def _asked(
        self,
        rows: pa.Table,
        run_id: str,
    ) -> tuple[list[Case], list[GenerateContext]]:
        """Return what the generator is given for rows."""
        if "prompt" in rows.column_names:
            # Keys are made from the input: two cases stay two draws where their prompts
            # happen to be equal.
            at = rows.column_names.index("input")
            rows = rows.set_column(at, "input", rows["prompt"])
        cases = visible_cases(rows, self.generator_reads)
        # What a generator does not declare is hidden in its contexts, too.
        return cases, self._make_contexts(rows, cases, run_id)

    async def _compute_singly(
        self,
        cases: Sequence[Case],
        contexts: Sequence[GenerateContext],
        emit: Emit,
        *,
        prefixes: Sequence[Sequence[bytes]] | None,
    ) -> None:
        generator = self.generator
        assert generator.generate is not None  # `build` refuses one with neither
        width = self._runtime.max_concurrency
        timeout_s = self._runtime.timeout_s
        if generator.calls_at_once is not None:
            # It bounds its requests itself: a call may wait its turn for long.
            width = generator.calls_at_once
            timeout_s = None
        call: AsyncCall
        if generator.is_async:
            call = timed_coroutine(generator.generate, cases, contexts)
        else:
            call = threaded(timed_function(generator.generate, cases, contexts))
        call = within(call, timeout_s)
        call = traced_calls(
            call,
            _callee_of(generator),
            cases,
            contexts,
            begins_late=generator.calls_at_once is not None,
        )
        if self._budget and self.price:
            costs = CallCosts(self.generator, self.price, cases, contexts)
            call = paid_call(call, self._budget, most=costs.most, cost=costs.cost)
        if prefixes is not None and any(prefixes):
            # Outermost: the wait takes nothing of the time limit or the budget.
            call = after_first(call, prefixes, sent_prefixes(self.fingerprint))

        def to_record(result_and_latency: tuple[Any, float]) -> Any:
            return output_record(*result_and_latency)

        await call_async(
            call,
            len(cases),
            OutcomeSink(emit, to_record, unknown_is_fact=False),
            limit=limiter(f"generate/{self.fingerprint}", width),
            width=width,
        )

    async def _compute_batches(
        self,
        cases: Sequence[Case],
        contexts: Sequence[GenerateContext],
        emit: Emit,
    ) -> None:
        assert self.generator.generate_batch is not None
        size = self._runtime.batch_size
        call = partial(call_batch, self.generator.generate_batch, (cases, contexts))
        generate = within(call, self._runtime.timeout_s)
        generate = traced_batches(generate, _callee_of(self.generator))
        if self._budget and self.price:
            costs = CallCosts(self.generator, self.price, cases, contexts)
            generate = paid_call(
                generate,
                self._budget,
                most=costs.most_of_batch,
                cost=costs.cost_of_batch,
            )

        async def outcomes(positions: range) -> list[RowOutcome]:
            return [_batch_outcome(result) for result in await generate(positions)]

        await call_batches(
            outcomes,
            len(cases),
            emit=emit,
            limit=limiter(
                f"generate/{self.fingerprint}/batches",
                self._batches_at_once,
            ),
            size=size,
        )

    def _make_contexts(
        self,
        rows: pa.Table,
        cases: Sequence[Case],
        run_id: str,
    ) -> list[GenerateContext]:
        indices: list[int | None] = [None] * rows.num_rows
        if "sample_index" in self.generator_reads:
            indices = rows["sample_index"].to_pylist()
        columns = zip(
            rows["case_id"].to_pylist(),
            rows["dataset_id"].to_pylist(),
            rows["seed"].to_pylist(),
            indices,
            cases,
            strict=True,
        )
        contexts = []
        for case_id, dataset_id, seed, sample_index, case in columns:
            context = GenerateContext(
                run_id=run_id,
                case_id=case_id,
                dataset_id=dataset_id,
                seed=seed,
                sample_index=sample_index,
                prompt_spec=self.prompt_spec,
                metadata=case.metadata,
                contents=self._contents,
            )
            contexts.append(context)
        return contexts


def _with_parts_version(
    text: str | None,
    prompt: str | None,
) -> str | None:
    # The prompt of a text is no list, and that of messages has contents of text.
    if text is None or prompt is None or not prompt.startswith("["):
        return text
    value = load_json(prompt)
    if is_parts(value) or any(isinstance(turn.get("content"), list) for turn in value):
        return f"{text}@{PARTS_VERSION}"
    return text


def _with_examples(
    text: str | None,
    examples: str | None,
) -> str | None:
    return text if text is None or examples is None else f"{text}@{examples}"


def check_reads_input(
    generator: BuiltGenerator,
    *,
    needed_by: str,
) -> None:
    """Raise `ConfigError` if a setting changes an input that a generator never reads."""
    if "input" not in generator.reads:
        raise ConfigError(
            f"{needed_by}: {generator.component_id} does not read `input`, so that it "
            "would change nothing; remove it, or let the generator read `input`"
        )


def check_prompt(
    generator: BuiltGenerator,
    prompt_spec: PromptSpec,
    *,
    where: str,
) -> None:
    """Raise `InputError` if a generator would not send all of its prompt spec.

    Instructions are sent once: of two different ones, only one could be.
    """
    own = generator.instructions
    if own is not None and prompt_spec.instructions not in (None, own):
        raise ConfigError(
            f"{where}: the generator and its prompt spec have different instructions; "
            "only one can be sent; remove one"
        )
    if generator.check_prompt_spec is not None:
        try:
            generator.check_prompt_spec(prompt_spec)
        except InputError as error:
            raise type(error)(f"{where}: {error}") from None


def check_bounded(stages: Sequence[GenerateStage]) -> None:
    """Raise `ConfigError` if the most that a stage's calls can cost is not known.

    No budget could hold such a stage.
    """
    for stage in stages:
        generator = stage.generator
        if not stage.is_paid:
            continue
        place = f"cost.max_cost: {stage.label}: {generator.component_id}"
        model = generator.model
        if stage.price is None and model is not None:
            raise ConfigError(
                f"{place}: nothing says what {model!r} costs; "
                f"add cost.prices.{model}: {{input: …, output: …}}"
            )
        if stage.price is None or generator.most_tokens is None:
            raise ConfigError(
                f"{place} does not say what a call costs at most (`model` and "
                "`most_tokens`); leave max_cost out"
            )
        if generator.has_token_limit and generator.max_tokens is None:
            raise ConfigError(
                f"{place}: give it max_tokens, so that a call has a price at most"
            )


def _callee_of(generator: BuiltGenerator) -> Callee | None:
    """Return what spans say of a generator; `None` for one that calls no model itself."""
    # The calls that its rows are made of have spans of their own, and their tokens.
    if generator.asks:
        return None
    if generator.is_free and generator.model is None:
        return None
    return Callee(
        component_id=generator.component_id,
        model=generator.model,
        settings=generator.identity.get("settings", {}),
        is_local=generator.is_free,
    )


def _batch_outcome(result: Any) -> RowOutcome:
    """Return one result of a batch as its row's outcome."""
    if isinstance(result, Exception):
        return failure_outcome(result, unknown_is_fact=False)
    try:
        return output_record(result, None)
    except RowError as error:
        return failure_outcome(error, unknown_is_fact=False)
