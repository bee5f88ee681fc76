"""OpenAI's Batch API: a file of requests, a batch of it, and files of replies.

The names are those of OpenAI's API reference.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.adapters import batch_files
from themis_lib.adapters.batched_model import BATCH_LABEL, CLOCK_S, BatchedModel
from themis_lib.adapters.faults import fault_of_code
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.reply_fields import read_field, read_items
from themis_lib.adapters.requests import ApiMode
from themis_lib.core.batches import BatchLimits, BatchReply, BatchStatus, FoundBatch
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.errors import FatalError, RowError, ThemisError, TransientError
from themis_lib.identity.digests import canonical_json

#: What OpenAI takes as one batch.
_LIMITS = BatchLimits(rows=50_000, bytes=200_000_000)
_ENDPOINTS: Mapping[ApiMode, str] = {
    "responses": "/v1/responses",
    "chat_completions": "/v1/chat/completions",
}
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
#: The most batches that one request lists.
_PAGE = 100
#: Reasons of a batch that failed as a whole for now: the account's queue is full.
_QUEUE_IS_FULL = frozenset({"token_limit_exceeded", "rate_limit_exceeded"})


@dataclass(frozen=True)
class OpenAIBatches:
    """The Batch API for one generator; see `core.batches.BatchApi`.

    The label is in a batch's metadata, and so is found again by listing batches.
    """

    api_mode: ApiMode
    model: BatchedModel
    limits: BatchLimits = _LIMITS

    def line(
        self,
        custom_id: str,
        case: Case,
        ctx: GenerateContext,
    ) -> bytes:
        """Return the request for a row as a line of the file."""
        line = {
            "custom_id": custom_id,
            "method": "POST",
            "url": _ENDPOINTS[self.api_mode],
            "body": self.model.batch_request(case, ctx),
        }
        return canonical_json(line).encode()

    async def prepare(self, lines: Sequence[bytes]) -> JsonObject:
        """Upload the file of the requests."""
        content = io.BytesIO(b"\n".join(lines) + b"\n")
        file = await self.model.ask_client(
            lambda client: client.files.create,
            file=("requests.jsonl", content),
            purpose="batch",
        )
        return {"input_file_id": read_field(file, "id")}

    async def discard(self, prepared: Mapping[str, Any]) -> None:
        """Delete the uploaded file."""
        await self.model.ask_client(
            lambda client: client.files.delete,
            prepared["input_file_id"],
        )

    async def submit(
        self,
        label: str,
        lines: Sequence[bytes],
        prepared: Mapping[str, Any],
        *,
        timeout_s: float,
    ) -> str:
        """Create the batch of an uploaded file."""
        del lines
        batch = await self.model.ask_client(
            lambda client: client.batches.create,
            timeout_s=timeout_s,
            input_file_id=prepared["input_file_id"],
            endpoint=_ENDPOINTS[self.api_mode],
            completion_window="24h",
            metadata={BATCH_LABEL: label},
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
        """Look for the batch with a label among the account's, newest first."""
        del custom_ids, prepared, not_these
        after: dict[str, Any] = {}
        while True:
            page = await self.model.ask_client(
                lambda client: client.batches.list,
                limit=_PAGE,
                **after,
            )
            batches = list(read_items(page, "data"))
            for batch in batches:
                if read_field(read_field(batch, "metadata"), BATCH_LABEL) == label:
                    return FoundBatch(str(read_field(batch, "id")))
            if not batches or not read_field(page, "has_more"):
                return FoundBatch(None)
            if read_field(batches[-1], "created_at") < since - CLOCK_S:
                return FoundBatch(None)
            after = {"after": read_field(batches[-1], "id")}

    async def status(self, batch_id: str) -> BatchStatus:
        """Return how far a batch is."""
        batch = await self._retrieve(batch_id)
        state = str(read_field(batch, "status"))
        counts = read_field(batch, "request_counts")
        answered = 0
        for name in ("completed", "failed"):
            answered += read_field(counts, name) or 0
        return BatchStatus(
            state=state,
            has_ended=state in _ENDED,
            answered=answered,
            rows=read_field(counts, "total") or 0,
            failure=self._failure_of(batch) if state == "failed" else None,
        )

    async def cancel(self, batch_id: str) -> None:
        """Cancel a batch; one that has ended is left as it is."""
        try:
            await self.model.ask_client(lambda client: client.batches.cancel, batch_id)
        except (RowError, TransientError):
            # It has ended, or the next look tries again to wait for its end.
            return

    async def replies(self, batch_id: str) -> AsyncIterator[tuple[str, BatchReply]]:
        """Yield the lines of both files of replies, of answers and of errors."""
        batch = await self._retrieve(batch_id)
        names = ("output_file_id", "error_file_id")
        file_ids = [read_field(batch, name) for name in names]

        async def download(file_id: str) -> bytes:
            file = await self.model.ask_client(
                lambda client: client.files.content, file_id
            )
            content: bytes = file.content
            return content

        async for reply in batch_files.replies_in(file_ids, download, batch_id):
            yield reply

    def read(self, reply: BatchReply) -> GenerationResult:
        """Return a line of a file of replies as a result."""
        return batch_files.result_of(reply, self.model)

    def finish(
        self,
        result: GenerationResult,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return a result as a live call returns it for this case."""
        return self.model.finish_batch_result(result, case, ctx)

    async def _retrieve(self, batch_id: str) -> Any:
        return await self.model.ask_client(
            lambda client: client.batches.retrieve, batch_id
        )

    def _failure_of(self, batch: Any) -> Exception:
        """Return what it means that a batch failed as a whole."""
        said = "the provider refused the batch"
        codes = set()
        for error in read_items(read_field(batch, "errors"), "data"):
            codes.add(str(read_field(error, "code")))
            said += f": {batch_files.words_of(error)}"
        fault: ThemisError = fault_of_code(min(codes, default=""), "", said)
        # What a line has wrong would be wrong again, and so would every other line.
        if codes & _QUEUE_IS_FULL:
            fault = TransientError(said)
        elif not isinstance(fault, TransientError):
            fault = FatalError(said)
        return self.model.batch_fault(fault.marked(is_free=True))
