"""Submits batches, each once: what is about to be sent is in the store before it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from themis_lib.core.batches import FoundBatch
from themis_lib.errors import FatalError, ThemisError, TransientError
from themis_lib.stages.batching import Batching
from themis_lib.storage.batch_ledger import Batch, BatchLedger, new_label

_LOG = logging.getLogger("themis_lib.batches")
#: The first pause between two looks for a batch; later ones are longer.
_FIRST_PAUSE_S = 1.0
_GROWTH = 1.5
#: The share of `settle_s` in which a submission has to begin, and as much to end.
_SUBMITTING = 0.5


@dataclass(frozen=True)
class Chunk:
    """Rows that fit into one batch, and their requests."""

    keys: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)


class Submissions:
    """Submits the rows of one stage, and finds what others have submitted."""

    def __init__(
        self,
        batching: Batching,
        ledger: BatchLedger,
    ) -> None:
        self._api = batching.api
        self._config = batching.config
        self._ledger = ledger

    def chunks(self, lines: Mapping[bytes, bytes]) -> Iterator[Chunk]:
        """Yield requests, by key, as few batches as the provider's limits allow."""
        limits = self._api.limits
        chunk = Chunk()
        size = 0
        for key, line in lines.items():
            # The line break counts.
            size += len(line) + 1
            if chunk.keys and (len(chunk.keys) == limits.rows or size > limits.bytes):
                yield chunk
                chunk = Chunk()
                size = len(line) + 1
            chunk.keys.append(key)
            chunk.lines.append(line)
        if chunk.keys:
            yield chunk

    async def submit(self, chunk: Chunk) -> Batch | None:
        """Submit a batch and return it once its id is in the store.

        Return `None` if another run has some of its rows, or took the batch for lost:
        look again. Raise `TransientError` if it was not sent, `FatalError` if the
        provider refuses it.
        """
        prepared = await self._api.prepare(chunk.lines)
        began = time.monotonic()
        batch = self._ledger.intend(new_label(), chunk.keys, prepared)
        if batch is None:
            await self._api.discard(prepared)
            return None
        submitting_s = _SUBMITTING * self._config.settle_s
        # Who sees an intent without an id for `settle_s` takes it for never sent: a
        # process that slept must not send it after that.
        if time.monotonic() - began > submitting_s:
            self._ledger.note(batch, None)
            return None
        try:
            batch_id = await self._api.submit(
                batch.label,
                chunk.lines,
                prepared,
                timeout_s=submitting_s,
            )
        except TransientError:
            # It may have arrived all the same.
            if await self.settle(batch) is None:
                raise
            return self._ledger.batch(batch.number)
        except ThemisError as error:
            self._ledger.note(batch, None)
            fault = FatalError(f"the provider refuses the batch: {error}")
            raise fault.marked(is_free=error.is_free) from error
        if self._ledger.note(batch, batch_id) != batch_id:
            # Another run took it for never sent, and may have sent the rows itself.
            await self._api.cancel(batch_id)
            return None
        return self._ledger.batch(batch.number)

    async def settle(self, batch: Batch) -> str | None:
        """Return the id of a batch whose submission nobody noted; `None`: never sent."""
        began = time.monotonic()
        pause_s = min(_FIRST_PAUSE_S, self._config.settle_s / 4)
        while True:
            known = self._ledger.read()
            batch = self._ledger.batch(batch.number)
            if batch.is_noted:
                return batch.batch_id
            age_s = time.monotonic() - began
            found = await self._find(batch, known)
            # What is not there `settle_s` after the intent never will be.
            is_lost = found.is_certain and age_s >= self._config.settle_s
            if found.batch_id is not None or is_lost:
                return self._ledger.note(batch, found.batch_id)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * _GROWTH, self._config.poll_s)

    async def _find(
        self,
        batch: Batch,
        known: list[Batch],
    ) -> FoundBatch:
        others = [each.batch_id for each in known if each.batch_id is not None]
        try:
            return await self._api.find(
                batch.label,
                [key.hex() for key in batch.keys],
                batch.prepared,
                since=batch.created_at,
                not_these=others,
            )
        except TransientError as error:
            _LOG.info("%s: %s", batch.label, error)
            return FoundBatch(None, is_certain=False)
