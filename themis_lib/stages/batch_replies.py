"""Waits for batches, and reads their replies as outcomes of rows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from themis_lib.core.batches import BatchReply, BatchStatus
from themis_lib.core.models import GenerationResult
from themis_lib.errors import FatalError, RowError, TransientError
from themis_lib.stages.batching import Batching
from themis_lib.stages.progress import Progress
from themis_lib.storage.batch_ledger import Batch, BatchLedger

_LOG = logging.getLogger("themis_lib.batches")
#: The time until the second look at a batch; later ones are further apart.
_FIRST_LOOK_S = 1.0
_GROWTH = 1.5
_HOUR_S = 3600.0

#: A row's result, or the fact about it that there is none.
ReadReply = GenerationResult | RowError


@dataclass(frozen=True)
class Fetched:
    """What a batch has for the rows wanted, by key, and why it left out the others."""

    read: Mapping[bytes, ReadReply]
    left: Mapping[bytes, TransientError]


class BatchReplies:
    """Follows the batches of one stage to their ends."""

    def __init__(
        self,
        batching: Batching,
        ledger: BatchLedger,
        progress: Progress,
    ) -> None:
        self._api = batching.api
        self._config = batching.config
        self._ledger = ledger
        self._progress = progress

    async def until_ended(
        self,
        batch: Batch,
        batch_id: str,
    ) -> BatchStatus:
        """Return the status of a batch that has ended, or that nobody is to wait for.

        At its deadline it is cancelled. Raise `TransientError` if the provider does not
        answer then, or nobody is to wait.
        """
        pause_s = min(_FIRST_LOOK_S, self._config.poll_s)
        is_cancelled = False
        try:
            while True:
                age_s = time.time() - batch.created_at
                is_due = age_s > self._config.deadline_h * _HOUR_S
                status = await self._look(batch_id, age_s, may_fail=not is_due)
                if status is not None and status.has_ended:
                    return status
                if is_due and not is_cancelled:
                    _LOG.warning("%s is cancelled: it is at its deadline", batch_id)
                    await self._api.cancel(batch_id)
                    is_cancelled = True
                elif status is not None and not self._config.wait:
                    return status
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * _GROWTH, self._config.poll_s)
        finally:
            self._progress.note_batch(batch_id, None)

    async def fetch(
        self,
        batch: Batch,
        batch_id: str,
        status: BatchStatus | None,
        wanted: AbstractSet[bytes],
    ) -> Fetched:
        """Return what a batch has for the rows wanted, and note in the ledger which rows
        it left out.

        `status` is `None` for a batch that was fetched before. Raise `FatalError` if no
        row could succeed.
        """
        read: dict[bytes, ReadReply] = {}
        left = dict.fromkeys(batch.keys, _unanswered(batch_id, status))
        fatal = status.failure if status is not None else None
        async for custom_id, reply in self._api.replies(batch_id):
            key = _key_of(custom_id)
            if key not in left:
                continue
            result = self._read(reply)
            if isinstance(result, FatalError):
                fatal = result
                # Where others have an answer, it concerns this row alone.
                result = TransientError(str(result))
            if isinstance(result, TransientError):
                left[key] = result
                continue
            del left[key]
            if key in wanted:
                read[key] = result
        if status is not None:
            self._ledger.close(batch, status.state, list(left))
        elif not wanted.isdisjoint(left):
            self._ledger.forget(batch, list(left))
        if isinstance(fatal, FatalError) and len(left) == len(batch.keys):
            raise fatal
        return Fetched(read, {key: left[key] for key in wanted & left.keys()})

    def _read(self, reply: BatchReply) -> ReadReply | TransientError | FatalError:
        try:
            return self._api.read(reply)
        except (RowError, TransientError, FatalError) as error:
            return error

    async def _look(
        self,
        batch_id: str,
        age_s: float,
        *,
        may_fail: bool,
    ) -> BatchStatus | None:
        """Return the status of a batch; `None` if the provider did not answer."""
        try:
            status = await self._api.status(batch_id)
        except TransientError as error:
            if not (may_fail and self._config.wait):
                raise
            _LOG.info("%s: %s", batch_id, error)
            return None
        counts = f"{status.answered:,} of {status.rows:,} rows"
        said = f"{batch_id}: {status.state}, {counts} after {_duration(age_s)}"
        self._progress.note_batch(batch_id, said)
        return status


def _unanswered(
    batch_id: str,
    status: BatchStatus | None,
) -> TransientError:
    said = f"{batch_id} has no reply for this row any more"
    if status is not None:
        said = f"{batch_id} ended ({status.state}) without this row"
        if status.failure is not None:
            said = f"{batch_id}: {status.failure}"
    return TransientError(said).marked(is_free=True)


def _key_of(custom_id: str) -> bytes:
    try:
        return bytes.fromhex(custom_id)
    except ValueError:
        return b""


def _duration(seconds: float) -> str:
    """Return a duration in minutes, or in hours and minutes.

    >>> _duration(90), _duration(3700)
    ('1 min', '1 h 01 min')
    """
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
