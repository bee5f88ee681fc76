"""The rows of a shard that several runs may be computing, shared out between them.

Rows are claimed in batches before they are computed. A row that another run has claimed
is left to it; whoever has nothing else to do waits for it, and takes over what a run
that died or failed has left.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import pyarrow as pa

from themis_lib.stages.calls import chunks
from themis_lib.stages.claim_turns import ClaimTurn
from themis_lib.stages.collector import Collector
from themis_lib.stages.progress import Progress
from themis_lib.stages.stage import RowOutcome, Stage
from themis_lib.storage.claims import Taken, take_rows
from themis_lib.storage.rows import RowSet

#: A batch of quick rows grows until it takes about this long; one that takes longer
#: would leave too little to other runs.
_BATCH_S = 0.5
_GROWTH = 4
#: The most rows that are Python objects at the same time: while a stage computes them
#: they take many times the memory of their table.
ROWS_AT_ONCE = 1024
#: How long to wait before another look at rows that others compute, at first and at
#: most: a look takes a millisecond.
_FIRST_LOOK_S = 0.05
_LAST_LOOK_S = 0.25
#: The same where another process is claiming rows, which takes a millisecond.
_CLAIMING_S = 0.005


class SharedWork:
    """Computes the rows of a shard that nobody else computes, and waits for the rest.

    The next batch is claimed when no more rows of those before are left than the stage
    has in flight at once. A stage that claims none computes a thousand at a time.
    """

    def __init__(
        self,
        stage: Stage,
        row_set: RowSet,
        collector: Collector,
        progress: Progress,
    ) -> None:
        self._stage = stage
        self._row_set = row_set
        self._collector = collector
        self._progress = progress
        self._in_flight = stage.claimed_in_flight or 0
        self._size = 2 * self._in_flight
        self._unfinished = 0
        self._has_room = asyncio.Event()
        self._batches: set[asyncio.Task[None]] = set()
        #: The rows still without an outcome that this run has not claimed, by key.
        self._left: dict[bytes, int] = {}
        self._waiting_for = 0

    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        *,
        shard_index: int,
    ) -> list[pa.Table]:
        """Compute rows, and return the tables of those that others have computed.

        Shards of a run claim rows in the order of their indices.
        """
        if not self._in_flight:
            await self._compute_in_slices(rows, run_id)
            return []
        keys = self._collector.keys
        order = list(range(len(keys)))
        if self._row_set.is_blind:
            # Nobody tells what others are at: in an order of its own, a run seldom
            # computes what another is computing at the same time.
            random.Random(run_id).shuffle(order)
        self._left = {keys[position]: position for position in order}
        found: list[pa.Table] = []
        pause_s = _FIRST_LOOK_S
        turn = ClaimTurn((run_id, self._row_set.address), shard_index)
        try:
            while self._left or self._batches:
                taken = await self._take_in_turn(turn)
                found.append(taken.finished)
                if taken.claimed:
                    # What was waited for may be among it; what is not waited for again.
                    self._wait_for(0)
                    self._start(rows, taken.claimed, run_id)
                    await self._until_room()
                elif self._batches:
                    await self._until_ended(pause_s)
                else:
                    self._wait_for(taken.others)
                    await asyncio.sleep(pause_s)
                idle = not taken.claimed and not taken.finished.num_rows
                pause_s = min(pause_s * 1.5, _LAST_LOOK_S) if idle else _FIRST_LOOK_S
        finally:
            turn.end()
            self._wait_for(0)
            for batch in self._batches:
                batch.cancel()
            await asyncio.gather(*self._batches, return_exceptions=True)
        return found

    async def _compute_in_slices(
        self,
        rows: pa.Table,
        run_id: str,
    ) -> None:
        for positions in chunks(rows.num_rows, ROWS_AT_ONCE):

            def emit(
                outcomes: Sequence[tuple[int, RowOutcome]],
                start: int = positions.start,
            ) -> None:
                self._collector.emit(
                    [(start + at, outcome) for at, outcome in outcomes]
                )

            one = rows.slice(positions.start, len(positions))
            await self._stage.compute(one, run_id, emit)

    async def _take_in_turn(self, turn: ClaimTurn) -> Taken:
        """Do as `_take` in the shard's turn, and end that if no row is left to claim."""
        if self._left:
            await turn.wait()
        taken = await self._take()
        if not taken.claimed or len(taken.claimed) == len(self._left):
            turn.end()
        return taken

    async def _take(self) -> Taken:
        """Claim the next batch, and take note of rows that others have finished."""
        while True:
            try:
                taken = take_rows(
                    self._row_set,
                    self._collector.journal,
                    list(self._left),
                    most=self._size,
                )
            except BlockingIOError:
                # Not in a blocking way: requests of this run are in flight.
                await asyncio.sleep(_CLAIMING_S)
                continue
            for key in taken.finished["key"].to_pylist():
                del self._left[key]
            return taken

    def _start(
        self,
        rows: pa.Table,
        claimed: Sequence[bytes],
        run_id: str,
    ) -> None:
        """Begin to compute a batch of rows that this run has claimed."""
        positions = [self._left.pop(key) for key in claimed]
        self._unfinished += len(positions)
        self._has_room.clear()

        def emit(outcomes: Sequence[tuple[int, RowOutcome]]) -> None:
            self._collector.emit([(positions[at], outcome) for at, outcome in outcomes])
            failed = [
                claimed[at]
                for at, outcome in outcomes
                if isinstance(outcome, Exception)
            ]
            if failed:
                # Another run may try them, and need not wait for the end of the shard.
                self._collector.journal.release(failed)
            self._unfinished -= len(outcomes)
            if self._unfinished <= self._in_flight:
                self._has_room.set()

        async def compute() -> None:
            began = time.monotonic()
            batch = rows.take(pa.array(positions, pa.int64()))
            await self._stage.compute(batch, run_id, emit)
            if time.monotonic() - began < _BATCH_S:
                grown = min(len(positions) * _GROWTH, ROWS_AT_ONCE)
                self._size = max(self._size, grown)

        task = asyncio.ensure_future(compute())
        self._batches.add(task)
        task.add_done_callback(lambda _: self._has_room.set())

    async def _until_room(self) -> None:
        """Wait until a new batch would find free places, or a batch has ended."""
        await self._has_room.wait()
        self._drop_ended()

    async def _until_ended(self, at_most_s: float) -> None:
        """Wait until a batch has ended, or so long."""
        await asyncio.wait(
            self._batches,
            timeout=at_most_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        self._drop_ended()

    def _drop_ended(self) -> None:
        """Forget the batches that have ended. Raise what one of them raised."""
        for batch in [batch for batch in self._batches if batch.done()]:
            self._batches.discard(batch)
            batch.result()
        # A batch that ended at once has set it for good.
        if self._unfinished > self._in_flight:
            self._has_room.clear()

    def _wait_for(self, others: int) -> None:
        """Show how many rows this run waits for; before it waits, share what it has."""
        if others and not self._waiting_for:
            self._collector.journal.share()
        self._progress.wait(self._stage.label, others - self._waiting_for)
        self._waiting_for = others
