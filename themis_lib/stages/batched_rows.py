"""Rows that go to a provider by batch: submitted, waited for and fetched.

What is under way is in the store before it is: see `storage.batch_ledger`. So a run
that was killed, or another machine, finds a batch again and pays for no row twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from themis_lib.core.batches import BatchStatus
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, TokenUsage
from themis_lib.errors import AwaitingBatchError, FatalError, RowError, TransientError
from themis_lib.stages.batch_replies import BatchReplies, Fetched, ReadReply
from themis_lib.stages.batch_submissions import Chunk, Submissions
from themis_lib.stages.batching import Batching
from themis_lib.stages.budget import Budget
from themis_lib.stages.call_costs import CallCosts
from themis_lib.stages.calls import failure_outcome, in_thread
from themis_lib.stages.outputs import output_record
from themis_lib.stages.progress import Progress
from themis_lib.stages.stage import Emit, RowOutcome
from themis_lib.storage.batch_ledger import Batch, BatchLedger

_LOG = logging.getLogger("themis_lib.batches")
#: Rows that are saved together: between two such writes, other shards have their turn.
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class AskedRows:
    """Rows to ask for, by position: their keys, cases and contexts."""

    keys: Sequence[bytes]
    cases: Sequence[Case]
    contexts: Sequence[GenerateContext]


@dataclass(frozen=True)
class Spending:
    """What rows cost by batch, and the budget that pays for them."""

    costs: CallCosts
    budget: Budget

    def most(self, positions: Iterable[int]) -> float:
        """Return the most that rows can cost."""
        return sum(map(self.costs.most_by_batch, positions))

    def count(self, usage: TokenUsage | None) -> None:
        """Count what a row did cost."""
        self.budget.spent += self.costs.price.cost_by_batch(usage)


class BatchedRows:
    """Takes rows through the batches of a stage, and emits their outcomes.

    `label` is the stage's. Without a `spending` no budget holds them.
    """

    def __init__(
        self,
        batching: Batching,
        ledger: BatchLedger,
        rows: AskedRows,
        *,
        label: str,
        emit: Emit,
        progress: Progress,
        spending: Spending | None,
    ) -> None:
        self._batching = batching
        self._submissions = Submissions(batching, ledger)
        self._replies = BatchReplies(batching, ledger, progress)
        self._ledger = ledger
        self._rows = rows
        self._label = label
        self._emit = emit
        self._spending = spending
        self._position = {key: at for at, key in enumerate(rows.keys)}
        # By key: why it was not sent, or why its batch left it out.
        self._left: dict[bytes, Exception] = {}

    async def compute(self) -> list[int]:
        """Emit the outcome of every row but of those to ask live, and return these.

        Raise `FatalError` if no row could succeed; what was sent stays sent.
        """
        pending = set(self._rows.keys)
        while pending:
            held: list[tuple[Batch, set[bytes]]] = []
            free = set(pending)
            for batch in self._ledger.read():
                wanted = pending & batch.held
                if wanted:
                    held.append((batch, wanted))
                    free -= wanted
            # In a thread, since requests may have files in them.
            lines, refused = await in_thread(self._lines_of, free)
            self._emit(refused)
            pending -= free - lines.keys()
            work: list[Awaitable[AbstractSet[bytes]]] = []
            work += [self._follow(batch, wanted) for batch, wanted in held]
            work += [self._send(chunk) for chunk in self._submissions.chunks(lines)]
            for settled in await _together(work):
                pending -= settled
        positions = [self._position[key] for key in self._left]
        if self._batching.config.missing == "live":
            return positions
        self._emit(list(zip(positions, self._left.values(), strict=True)))
        return []

    def _lines_of(
        self,
        keys: AbstractSet[bytes],
    ) -> tuple[dict[bytes, bytes], list[tuple[int, RowOutcome]]]:
        """Return the requests of rows, and why others cannot be asked at all."""
        lines: dict[bytes, bytes] = {}
        refused: list[tuple[int, RowOutcome]] = []
        for at, key in enumerate(self._rows.keys):
            if key not in keys:
                continue
            try:
                lines[key] = self._batching.api.line(
                    key.hex(), self._rows.cases[at], self._rows.contexts[at]
                )
            except Exception as error:  # noqa: BLE001 - a component may raise anything
                outcome = failure_outcome(error, unknown_is_fact=False)
                refused.append((at, outcome))
        return lines, refused

    async def _send(self, chunk: Chunk) -> AbstractSet[bytes]:
        """Submit a batch and follow it; return the rows that are settled."""
        if self._spending is None:
            return await self._submit(chunk)
        most = self._spending.most(self._position[key] for key in chunk.keys)
        # Set aside until the batch has ended, when each row's cost is counted.
        async with self._spending.budget.reserved(most) as receipt:
            settled = await self._submit(chunk)
            keys = frozenset(chunk.keys)
            for batch in self._ledger.open_batches():
                if keys & batch.held:
                    receipt.cost = most
        return settled

    async def _submit(self, chunk: Chunk) -> AbstractSet[bytes]:
        try:
            batch = await self._submissions.submit(chunk)
        except TransientError as error:
            self._left.update(dict.fromkeys(chunk.keys, error))
            return set(chunk.keys)
        if batch is None:
            return set()
        _LOG.warning(
            "%s: %s rows are with the provider as %s, also if this run is stopped: the "
            "next run takes them up",
            self._label,
            f"{len(chunk.keys):,}",
            batch.batch_id,
        )
        return await self._follow(batch, set(chunk.keys))

    async def _follow(
        self,
        batch: Batch,
        wanted: AbstractSet[bytes],
    ) -> AbstractSet[bytes]:
        """Wait for a batch, and emit the outcomes of the rows wanted of it.

        Return the rows that are settled: none of a batch that was never sent.
        """
        batch_id = batch.batch_id
        if not batch.is_noted:
            batch_id = await self._submissions.settle(batch)
        if batch_id is None:
            return set()
        try:
            status: BatchStatus | None = None
            # One that another run has fetched may have rows that were not stored then.
            if batch.left is None:
                status = await self._replies.until_ended(batch, batch_id)
                if not status.has_ended:
                    self._leave(batch_id, status, wanted)
                    return wanted
            fetched = await self._replies.fetch(batch, batch_id, status, wanted)
        except TransientError as error:
            # What is there is paid for, and never asked live: the next try fetches it.
            self._emit([(self._position[key], error) for key in wanted])
            return wanted
        except FatalError as error:
            fault = FatalError(f"{batch_id}: {error}")
            raise fault.marked(is_free=error.is_free) from error
        await self._take(fetched)
        return wanted

    def _leave(
        self,
        batch_id: str,
        status: BatchStatus,
        wanted: AbstractSet[bytes],
    ) -> None:
        """Emit that rows wait for a batch that this run does not wait for."""
        counts = f"{status.answered:,} of {status.rows:,} rows"
        outcome = AwaitingBatchError(f"{batch_id}: {status.state}, {counts}")
        self._emit([(self._position[key], outcome) for key in wanted])

    async def _take(self, fetched: Fetched) -> None:
        """Emit what a batch has, and note what it left out."""
        self._left.update(fetched.left)
        outcomes: list[tuple[int, RowOutcome]] = []
        for key, read in fetched.read.items():
            at = self._position[key]
            outcomes.append((at, self._outcome(at, read)))
            if len(outcomes) == _ROWS_AT_ONCE:
                self._emit(outcomes)
                outcomes = []
                await asyncio.sleep(0)
        self._emit(outcomes)

    def _outcome(
        self,
        at: int,
        read: ReadReply,
    ) -> Mapping[str, object]:
        if isinstance(read, RowError):
            return {"error": str(read)}
        if self._spending is not None:
            self._spending.count(read.usage)
        case, ctx = self._rows.cases[at], self._rows.contexts[at]
        try:
            result = self._batching.api.finish(read, case, ctx)
            # How long a row took its batch does not tell.
            return output_record(result, None)
        except RowError as error:
            return {"error": str(error)}


async def _together(
    work: Sequence[Awaitable[AbstractSet[bytes]]],
) -> list[AbstractSet[bytes]]:
    """Return what coroutines return; the first exception cancels the others."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
