"""Steps as rows: the calls that one row is made of, found in a store or kept there.

A step is a row like any other: its key is the fingerprint of what is called and the
digest of what it is called with. It is journaled before the next step begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import JsonValue

from themis_lib.core.model_prices import usage_in_tiers
from themis_lib.core.models import GenerationResult, TokenUsage
from themis_lib.errors import escape_surrogates
from themis_lib.identity.digests import canonical_json, load_json_or_null
from themis_lib.identity.watch import note_again
from themis_lib.stages.dependencies import Dependencies, resolve
from themis_lib.stages.outputs import result_of
from themis_lib.stages.progress import Progress
from themis_lib.stages.stage import RowOutcome, Stage
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY
from themis_lib.storage.traces import read_traces

#: How long a step waits for others to make a batch with: far less than a call takes.
_GATHER_S = 0.01

Record = Mapping[str, Any]
_Compute = Callable[[pa.Table, str], Awaitable[list[RowOutcome]]]


class StepRows:
    """The steps of one kind in the rows of a shard.

    With `in_batches`, steps that are asked for at about the same time are computed
    together. `charged_to` is the stage whose tokens theirs are.
    """

    def __init__(
        self,
        stage: Stage,
        store: RunStore,
        progress: Progress,
        *,
        in_batches: bool = False,
        charged_to: str | None = None,
    ) -> None:
        self._stage = resolve(stage, store)
        self._progress = progress
        self._charged_to = charged_to
        self._rows = self._stage.row_set(store)
        # The journals of runs that were killed become rows.
        self._rows.refresh()
        # A step that is found has opened nothing: what it read counts for its row.
        note_again(read_traces(store, self._stage.directory))
        self._dependencies = Dependencies(self._stage, store)
        self._journal = self._rows.journal(interval_s=0.0)
        #: Steps of this run by key, so that equal ones are made once.
        self._running: dict[bytes, asyncio.Task[Record]] = {}
        self._batch = _Batch(self._compute) if in_batches else None

    async def result(
        self,
        row: pa.Table,
        run_id: str,
    ) -> GenerationResult:
        """Return what the step of a table of one row says; make it if nobody has."""
        key: bytes = self._stage.keys(row)[0].as_py()
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(self._find_or_make(key, row, run_id))
            self._running[key] = task
        try:
            record = await task
        except BaseException:
            # Another try is another call.
            self._running.pop(key, None)
            raise
        # What differs at every call must not be among what components read of the row.
        return result_of(
            {**record, "transport": None},
            usage=_usage_of(record),
            latency_s=record.get("latency_s"),
        ).model_copy(update={"transport": load_json_or_null(record.get("transport"))})

    def flush(self) -> None:
        """Store every step made so far."""
        self._journal.flush()

    async def close(self) -> None:
        """End what is in flight, and leave the steps to the rows that come later."""
        unfinished: list[asyncio.Task[Any]] = list(self._running.values())
        if self._batch is not None:
            unfinished += self._batch.calls
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        self._journal.close()
        self._rows.refresh()

    async def _find_or_make(
        self,
        key: bytes,
        row: pa.Table,
        run_id: str,
    ) -> Record:
        _, found = self._rows.find(pa.array([key], KEY.type))
        if found.num_rows:
            self._progress.advance_step(self._stage.label, computed=0)
            record: Record = found.to_pylist()[0]
            return record
        # What a step reads, its row depends on too.
        with self._dependencies.watched(is_inner=True):
            if self._batch is None:
                (outcome,) = await self._compute(row, run_id)
            else:
                outcome = await self._batch.outcome(row, run_id)
        # Before any row that may depend on it is kept.
        self._dependencies.record_new()
        if isinstance(outcome, Exception):
            raise outcome
        made: dict[str, Any] = {"key": key}
        for name, value in outcome.items():
            made[name] = escape_surrogates(value) if isinstance(value, str) else value
        self._journal.append([made])
        usage = _usage_of(made)
        in_tiers = usage_in_tiers(self._stage.price_of, [made])
        self._progress.advance_step(
            self._stage.label,
            computed=1,
            usage=usage,
            in_tiers=in_tiers,
        )
        if self._charged_to is not None:
            self._progress.advance(self._charged_to, 0, usage, in_tiers=in_tiers)
        return made

    async def _compute(
        self,
        rows: pa.Table,
        run_id: str,
    ) -> list[RowOutcome]:
        outcomes: dict[int, RowOutcome] = {}
        await self._stage.compute(rows, run_id, outcomes.update)
        return [outcomes[position] for position in range(rows.num_rows)]


def _usage_of(record: Record) -> TokenUsage | None:
    counts = {name: record.get(name) for name in TokenUsage.model_fields}
    if all(count is None for count in counts.values()):
        return None
    return TokenUsage(**counts)


class _Batch:
    """Steps that wait for each other, to be computed by one call."""

    def __init__(self, compute: _Compute) -> None:
        self._compute = compute
        self._waiting: list[tuple[pa.Table, asyncio.Future[RowOutcome]]] = []
        self.calls: set[asyncio.Task[None]] = set()

    async def outcome(
        self,
        row: pa.Table,
        run_id: str,
    ) -> RowOutcome:
        """Return the outcome of a row, computed with those that come about now."""
        future: asyncio.Future[RowOutcome]
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if len(self._waiting) == 1:
            call = asyncio.ensure_future(self._call_soon(run_id))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)
        return await future

    async def _call_soon(self, run_id: str) -> None:
        await asyncio.sleep(_GATHER_S)
        waiting, self._waiting = self._waiting, []
        rows = pa.concat_tables([row for row, _ in waiting])
        futures = [future for _, future in waiting]
        try:
            outcomes = await self._compute(rows, run_id)
        except Exception as error:  # noqa: BLE001 - re-raised by each waiting step
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, outcome in zip(futures, outcomes, strict=True):
            # One that was cancelled waits no more.
            if not future.done():
                future.set_result(outcome)


@dataclass(frozen=True)
class RowSteps:
    """The steps of one row of a shard: a `core.steps.Steps`.

    `columns` are those of the row's case. `draw` tells it from rows that ask the same,
    each of which is an independent draw.
    """

    kinds: Mapping[str, StepRows]
    columns: Mapping[str, Any]
    draw: JsonValue
    run_id: str

    async def ask(
        self,
        name: str,
        value: JsonValue,
        *,
        seed: int,
    ) -> GenerationResult:
        """Return what a generator says to an input; see `Steps`."""
        row = {**self.columns, "input": canonical_json(value), "seed": seed}
        return await self._result(name, row)

    async def call(
        self,
        name: str,
        value: JsonValue,
        *,
        after: JsonValue,
    ) -> GenerationResult:
        """Return what a function returns for arguments; see `Steps`."""
        row = {
            **self.columns,
            "input": canonical_json(value),
            "after": canonical_json(after),
        }
        return await self._result(f"tool:{name}", row)

    async def _result(
        self,
        name: str,
        row: Mapping[str, Any],
    ) -> GenerationResult:
        # A generator that reads more of the case than its caller is given nothing.
        drawn = {**_HIDDEN, **row, "occurrence": self.draw, "error": None}
        columns = {}
        for column, value in drawn.items():
            columns[column] = pa.array([value], _TYPES.get(column, pa.string()))
        return await self.kinds[name].result(pa.table(columns), self.run_id)


_HIDDEN = {"expected_output": None, "metadata": "{}"}
_TYPES = {"seed": pa.int64(), "sample_index": pa.int32()}
