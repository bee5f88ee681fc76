"""Runs at once share the rows of a shard out between them, and wait without blocking."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from tests.support.stores import OpenStore
from themis_lib import (
    Case,
    GenerationResult,
    InMemoryRunStore,
    RunStore,
    RuntimeConfig,
    ShardError,
)
from themis_lib.components.build import build
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.prompts import PromptSpec
from themis_lib.errors import FatalError, TransientError
from themis_lib.identity.digests import canonical_json
from themis_lib.identity.part import Part
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.parse import ParseStage
from themis_lib.stages.progress import Progress
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.stage import Emit
from themis_lib.storage.shard import Shard
from themis_lib.storage.tables import CASES, KEY, OUTPUTS, table_of

RUN = "20260101-000000-aaaaaa"


class Model:
    """Answers with its input, a little later; `down` fails for now, `refused` for all."""

    component_id = "tests/model"
    version = "1"
    reads = ("input",)
    deterministic = True
    runtime = ("calls", "down", "refused", "slow_s")

    def __init__(
        self, *, slow_s: float = 0.01, down: str = "", refused: str = ""
    ) -> None:
        self.calls: list[str] = []
        self.down, self.refused, self.slow_s = down, refused, slow_s

    def fingerprint(self) -> str:
        return ""

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        self.calls.append(case.input)
        await asyncio.sleep(self.slow_s)
        if case.input == self.down:
            raise TransientError("503")
        if case.input == self.refused:
            raise FatalError("401")
        return GenerationResult(final_output=case.input)


class BatchModel(Model):
    """The same for many rows at once."""

    component_id = "tests/batch_model"

    async def generate_batch(
        self, cases: Sequence[Case], contexts: Sequence[GenerateContext]
    ) -> list[GenerationResult]:
        return await asyncio.gather(
            *(
                self.generate(case, context)
                for case, context in zip(cases, contexts, strict=True)
            )
        )


def shard_of(store: RunStore, inputs: Sequence[str], *, index: int = 0) -> Shard:
    rows = [
        {
            "dataset_id": "d",
            "case_id": str(at),
            "input": canonical_json(text),
            "expected_output": None,
            "metadata": "{}",
            "occurrence": 0,
        }
        for at, text in enumerate(inputs)
    ]
    table = table_of(rows, CASES)
    part = store.replace_part("rows/cases/" + "-".join(inputs)[:80] + ".parquet", table)
    return Shard(index=index, start=0, dataset_id="d", cases=part)


async def generate(
    store: RunStore,
    model: Model,
    inputs: Sequence[str],
    *,
    progress: Progress | None = None,
    run_id: str = RUN,
    index: int = 0,
) -> Part:
    """One run's generate stage over a shard of its own."""
    stage = GenerateStage(
        build("generator", model, where="test"),
        prompt_spec=PromptSpec(),
        seeds=[1],
        runtime=RuntimeConfig(max_concurrency=3, batch_size=2),
    )
    return await run_stage(
        stage,
        shard_of(store, inputs, index=index),
        store,
        run_id=run_id,
        progress=progress or Progress(),
    )


def outputs(store: RunStore, part: Part) -> list[str | None]:
    texts = store.read_table(part.path)["output"].to_pylist()
    return [None if text is None else json.loads(text) for text in texts]


NUMBERS = [str(number) for number in range(30)]


def test_runs_at_once_call_a_model_once_a_row(open_store: OpenStore) -> None:
    """On every filesystem, with stores of their own, whatever the order of their rows:
    each waits for the other, and both end with every row.
    """
    models = [Model(), Model(), Model()]
    orders = [NUMBERS, NUMBERS[::-1], NUMBERS[10:]]

    async def run_all() -> None:
        stores = [open_store() for _ in models]
        runs = zip(stores, models, orders, strict=True)
        parts = await asyncio.gather(*(generate(*run) for run in runs))
        for store, part, order in zip(stores, parts, orders, strict=True):
            assert order == outputs(store, part)

    asyncio.run(asyncio.wait_for(run_all(), 60))

    calls = Counter(call for model in models for call in model.calls)
    assert dict.fromkeys(NUMBERS, 1) == dict(calls)
    assert sum(1 for model in models if model.calls) > 1


def test_batches_are_shared_out_too(open_store: OpenStore) -> None:
    """Models that take many rows at once."""
    models = [BatchModel(), BatchModel()]

    async def run_both() -> None:
        stores = [open_store(), open_store()]
        runs = zip(stores, models, (NUMBERS, NUMBERS[::-1]), strict=True)
        await asyncio.gather(*(generate(*run) for run in runs))

    asyncio.run(asyncio.wait_for(run_both(), 60))

    assert dict.fromkeys(NUMBERS, 1) == dict(Counter(models[0].calls + models[1].calls))


def test_waiting_is_shown_and_blocks_nobody(open_store: OpenStore) -> None:
    """A run computes what nobody else does first, then says how many rows it waits for,
    while the event loop goes on.
    """
    slow, quick = Model(slow_s=0.5), Model()
    progress = Progress()
    seen: list[str | None] = []
    store = open_store()

    async def watch() -> None:
        while True:
            seen.append(progress.waiting_line())
            await asyncio.sleep(0.01)

    async def run_both() -> None:
        watching = asyncio.ensure_future(watch())
        first = asyncio.ensure_future(generate(store, slow, ["a", "b"]))
        await asyncio.sleep(0.1)
        await generate(store, quick, ["a", "b", "c"], progress=progress)
        await first
        watching.cancel()

    asyncio.run(run_both())

    assert ["c"] == quick.calls
    assert "waiting for another run: 2 rows" in seen
    assert None is progress.waiting_line()
    assert len(seen) > 20


def test_rows_that_failed_elsewhere_are_tried_here(open_store: OpenStore) -> None:
    """A failure of one run is none of the other's, which need not wait for the end of
    that run's shard.
    """
    failing, good = Model(down="3"), Model()

    async def run_both() -> tuple[list[str | None], BaseException]:
        stores = [open_store(), open_store()]
        failed, part = await asyncio.gather(
            generate(stores[0], failing, NUMBERS),
            generate(stores[1], good, NUMBERS[3:4] + NUMBERS[:3] + NUMBERS[4:]),
            return_exceptions=True,
        )
        return outputs(stores[1], part), failed

    found, failed = asyncio.run(asyncio.wait_for(run_both(), 60))

    assert sorted(NUMBERS) == sorted(filter(None, found))
    # Unless the other run was first, and found it.
    assert isinstance(failed, ShardError) == ("3" in failing.calls)


def test_rows_of_a_run_that_stopped_are_taken_over(open_store: OpenStore) -> None:
    """A run whose key is refused stops, and the one that waited goes on at once."""
    refused, good = Model(refused="1", slow_s=0.3), Model()

    async def run_both() -> tuple[BaseException, Part]:
        store = open_store()
        first = asyncio.ensure_future(generate(store, refused, ["0", "1"]))
        await asyncio.sleep(0.1)
        part = await generate(store, good, ["1", "2", "0"])
        assert ["1", "2", "0"] == outputs(store, part)
        (error,) = await asyncio.gather(first, return_exceptions=True)
        return error

    error = asyncio.run(asyncio.wait_for(run_both(), 60))

    assert isinstance(error, FatalError)
    assert "1" in good.calls


def test_cancelled_run_leaves_its_rows_to_others(open_store: OpenStore) -> None:
    """As a Ctrl-C does: its claims end with it."""
    stopped, good = Model(slow_s=30), Model()

    async def run_both() -> None:
        store = open_store()
        first = asyncio.ensure_future(generate(store, stopped, ["0", "1"]))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(generate(store, good, ["0", "1"]))
        await asyncio.sleep(0.1)
        assert [] == good.calls
        first.cancel()
        assert ["0", "1"] == outputs(store, await second)

    asyncio.run(asyncio.wait_for(run_both(), 60))

    assert ["0", "1"] == sorted(good.calls)


def test_run_that_computes_again_waits_no_more(open_store: OpenStore) -> None:
    """Nor does it say so, once it has taken over what it waited for."""
    refused, good = Model(refused="1", slow_s=0.3), Model(slow_s=0.3)
    progress = Progress()
    seen: list[tuple[bool, str | None]] = []

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.01)
            seen.append((bool(good.calls), progress.waiting_line()))

    async def run_both() -> None:
        store = open_store()
        watching = asyncio.ensure_future(watch())
        first = asyncio.ensure_future(generate(store, refused, ["0", "1"]))
        await asyncio.sleep(0.1)
        await generate(store, good, ["0", "1"], progress=progress)
        await asyncio.gather(first, return_exceptions=True)
        watching.cancel()

    asyncio.run(asyncio.wait_for(run_both(), 60))

    assert (False, "waiting for another run: 2 rows") in seen
    assert {None} == {line for is_computing, line in seen if is_computing}


def test_shards_of_a_run_claim_rows_in_turn(open_store: OpenStore) -> None:
    """The next one begins when the one before it has none left to claim, and before its
    last rows are finished: no place in flight stays empty between them.
    """
    store, model = open_store(), Model(slow_s=0.03)
    first, second = NUMBERS, [f"{number}b" for number in NUMBERS]

    async def run_both() -> tuple[list[str], Part]:
        shards = [
            asyncio.ensure_future(generate(store, model, inputs, index=index))
            for index, inputs in enumerate((first, second))
        ]
        await shards[0]
        return list(model.calls), await shards[1]

    calls, part = asyncio.run(asyncio.wait_for(run_both(), 60))

    # With three calls in flight, six rows are claimed first, and all others then.
    assert set(calls[:6]) <= set(first)
    assert set(first) < set(calls)
    assert second == outputs(store, part)


def test_shard_that_waits_for_another_run_holds_back_none(
    open_store: OpenStore,
) -> None:
    """Two runs whose first shards wait for each other's second ones would never end."""
    slow, quick = Model(slow_s=0.5), Model()

    async def run_both() -> list[str]:
        store = open_store()
        other = asyncio.ensure_future(generate(store, slow, ["a", "b"]))
        await asyncio.sleep(0.1)
        mine = [
            generate(store, quick, texts, run_id="20260101-000000-bbbbbb", index=index)
            for index, texts in enumerate((["a", "b"], ["c"]))
        ]
        shards = [asyncio.ensure_future(shard) for shard in mine]
        await shards[1]
        assert not other.done()
        await asyncio.gather(other, *shards)
        return quick.calls

    assert ["c"] == asyncio.run(asyncio.wait_for(run_both(), 60))


def test_shard_that_fails_holds_back_none(open_store: OpenStore) -> None:
    """Its turn ends with it, whatever ends it."""
    model = Model(refused="0")

    async def run_both() -> tuple[BaseException, Part]:
        store = open_store()
        failed, part = await asyncio.gather(
            generate(store, model, NUMBERS, index=0),
            generate(store, model, ["c"], index=1),
            return_exceptions=True,
        )
        assert ["c"] == outputs(store, part)
        return failed

    assert isinstance(asyncio.run(asyncio.wait_for(run_both(), 60)), FatalError)


class Counting(ParseStage):
    """Notes how many rows it is handed at a time."""

    at_once: ClassVar[list[int]] = []

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        self.at_once.append(rows.num_rows)
        await super().compute(rows, run_id, emit)


def test_rows_of_a_large_shard_are_never_objects_all_at_once() -> None:
    """What a stage makes of them takes many times the memory of their table. Each row
    has its own outcome all the same.
    """
    store, count = InMemoryRunStore(), 9_000
    texts = list(map(str, range(count)))
    shard = shard_of(store, texts)
    written = [
        {"key": at.to_bytes(16, "big"), "output": f'"{at}"'} for at in range(count)
    ]
    part = store.replace_part(
        "outputs.parquet", table_of(written, pa.schema([KEY, *OUTPUTS]))
    )
    parser = build("parser", "builtin/text", where="test")
    stage = Counting([parser], samples=1, runtime=RuntimeConfig())

    answers = asyncio.run(
        run_stage(
            stage,
            replace(shard, outputs=part),
            store,
            run_id=RUN,
            progress=Progress(),
        )
    )

    assert count == sum(stage.at_once)
    assert max(stage.at_once) <= 1024
    found = store.read_table(answers.path)["value"].to_pylist()
    assert texts == [json.loads(value) for value in found]
