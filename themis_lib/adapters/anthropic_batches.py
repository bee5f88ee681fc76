"""Anthropic's Message Batches API: requests and replies in one object.

The names are those of Anthropic's API reference.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from themis_lib.adapters.batched_model import CLOCK_S, BatchedModel
from themis_lib.adapters.faults import fault_of_code
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.reply_fields import (
    read_field,
    read_items,
    type_of,
)
from themis_lib.core.batches import BatchLimits, BatchReply, BatchStatus, FoundBatch
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.errors import FatalError, RowError, TransientError
from themis_lib.identity.digests import canonical_json

#: What Anthropic takes as one batch; the request around the lines needs some room.
_LIMITS = BatchLimits(rows=100_000, bytes=250_000_000)
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
#: The most batches that one request lists.
_PAGE = 100
_ENDED = "ended"


@dataclass(frozen=True)
class AnthropicBatches:
    """The Message Batches API for one generator; see `core.batches.BatchApi`.

    A batch keeps no label. It is found again by its size, its time, and, once it has
    ended, by the custom ids of its replies: until then nobody can tell.
    """

    model: BatchedModel
    betas: tuple[str, ...] = ()
    limits: BatchLimits = _LIMITS

    def line(
        self,
        custom_id: str,
        case: Case,
        ctx: GenerateContext,
    ) -> bytes:
        """Return the request for a row as an item of `requests`."""
        params = self.model.batch_request(case, ctx)
        return canonical_json({"custom_id": custom_id, "params": params}).encode()

    async def prepare(self, lines: Sequence[bytes]) -> JsonObject:
        """Send nothing: the requests are in the batch itself."""
        return {}

    async def discard(self, prepared: Mapping[str, Any]) -> None:
        """Remove nothing."""

    async def submit(
        self,
        label: str,
        lines: Sequence[bytes],
        prepared: Mapping[str, Any],
        *,
        timeout_s: float,
    ) -> str:
        """Create the batch."""
        del label, prepared
        headers: JsonObject = {}
        if self.betas:
            headers["extra_headers"] = {"anthropic-beta": ",".join(self.betas)}
        batch = await self.model.ask_client(
            lambda client: client.messages.batches.create,
            timeout_s=timeout_s,
            requests=[orjson.loads(line) for line in lines],
            **headers,
        )
        return str(read_field(batch, "id"))

    async def find(
        self,
        label: str,
        custom_ids: Sequence[str],
        prepared: Mapping[str, Any],
        *,
        since: float,
        not_these: Sequence[str],
    ) -> FoundBatch:
        """Look for a batch of these rows among those that nobody has noted."""
        del label, prepared
        is_certain = True
        async for batch in self._newest(since):
            batch_id = str(read_field(batch, "id"))
            if batch_id in not_these or _rows_of(batch) != len(custom_ids):
                continue
            if read_field(batch, "processing_status") != _ENDED:
                is_certain = False
                continue
            async with aclosing(self.replies(batch_id)) as replies:
                first = await anext(replies, None)
            if first is not None and first[0] in custom_ids:
                return FoundBatch(batch_id)
        return FoundBatch(None, is_certain)

    async def status(self, batch_id: str) -> BatchStatus:
        """Return how far a batch is."""
        batch = await self._retrieve(batch_id)
        state = str(read_field(batch, "processing_status"))
        counts = read_field(batch, "request_counts")
        rows = _rows_of(batch)
        return BatchStatus(
            state=state,
            has_ended=state == _ENDED,
            answered=rows - (read_field(counts, "processing") or 0),
            rows=rows,
        )

    async def cancel(self, batch_id: str) -> None:
        """Cancel a batch; one that has ended is left as it is."""
        try:
            await self.model.ask_client(
                lambda client: client.messages.batches.cancel, batch_id
            )
        except (RowError, TransientError):
            return

    async def replies(
        self, batch_id: str
    ) -> AsyncGenerator[tuple[str, BatchReply], None]:
        """Yield the results of a batch."""
        try:
            results = await self.model.ask_client(
                lambda client: client.messages.batches.results, batch_id
            )
        except FatalError as error:
            # Results are kept for 29 days.
            if "HTTP 404" in str(error):
                return
            raise
        try:
            if hasattr(results, "__aiter__"):
                async for line in results:
                    yield _reply_of(line, batch_id)
            else:
                for line in results:
                    yield _reply_of(line, batch_id)
        except (TransientError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - an injected client may raise anything
            raise self.model.batch_fault(error) from None

    def read(self, reply: BatchReply) -> GenerationResult:
        """Return one result of a batch as a result of the generator."""
        result = reply.get("result")
        kind = type_of(result)
        if kind == "succeeded":
            transport = {"batch_id": reply["batch_id"]}
            return self.model.batch_result(read_field(result, "message"), transport)
        if kind != "errored":
            # Expired or canceled before the row's turn came, or nothing known.
            raise TransientError(f"the batch has no answer: {kind}").marked(
                is_free=True
            )
        failed = read_field(result, "error")
        # An error object around another one, as a refused request has it.
        failed = read_field(failed, "error") or failed
        code = str(type_of(failed) or "")
        words = " ".join(str(read_field(failed, "message") or failed).split())
        fault = fault_of_code(code, code, f"{code}: {words}").marked(is_free=True)
        raise self.model.batch_fault(fault)

    def finish(
        self,
        result: GenerationResult,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the result as a live call returns it for this case."""
        return self.model.finish_batch_result(result, case, ctx)

    async def _newest(self, since: float) -> AsyncIterator[Any]:
        """Yield the account's batches, newest first, as far back as a time."""
        after: dict[str, Any] = {}
        while True:
            page = await self.model.ask_client(
                lambda client: client.messages.batches.list,
                limit=_PAGE,
                **after,
            )
            batches = list(read_items(page, "data"))
            for batch in batches:
                if _created_at(batch) < since - CLOCK_S:
                    return
                yield batch
            if not batches or not read_field(page, "has_more"):
                return
            after = {"after_id": read_field(batches[-1], "id")}

    async def _retrieve(self, batch_id: str) -> Any:
        return await self.model.ask_client(
            lambda client: client.messages.batches.retrieve, batch_id
        )


def _rows_of(batch: Any) -> int:
    counts = read_field(batch, "request_counts")
    return sum(read_field(counts, name) or 0 for name in _COUNTS)


def _created_at(batch: Any) -> float:
    created = read_field(batch, "created_at")
    if isinstance(created, datetime):
        return created.timestamp()
    return datetime.fromisoformat(str(created)).timestamp()


def _reply_of(line: Any, batch_id: str) -> tuple[str, BatchReply]:
    # As it was sent: a live reply has no nulls where the provider wrote nothing.
    reply = line.model_dump(mode="json", exclude_unset=True)
    return str(reply["custom_id"]), {**reply, "batch_id": batch_id}
