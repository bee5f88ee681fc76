"""OpenAI's Batch API: a file of requests, a batch of it, and files of replies.

The names are those of OpenAI's API reference.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.adapters.batched_model import BatchedModel
from themis_lib.adapters.faults import fault_of_code, fault_of_status
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
#: The field of a batch's metadata that has its label.
_LABEL = "themis_batch"
#: The most batches that one request lists.
_PAGE = 100
#: How far the provider's clock may be behind, in seconds.
_CLOCK_S = 3600.0
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
            metadata={_LABEL: label},
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
                if read_field(read_field(batch, "metadata"), _LABEL) == label:
                    return FoundBatch(str(read_field(batch, "id")))
            if not batches or not read_field(page, "has_more"):
                return FoundBatch(None)
            if read_field(batches[-1], "created_at") < since - _CLOCK_S:
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
        for name in ("output_file_id", "error_file_id"):
            file_id = read_field(batch, name)
            if file_id is None:
                continue
            try:
                content = await self.model.ask_client(
                    lambda client: client.files.content, file_id
                )
            except FatalError as error:
                # Files of replies are kept for some time only.
                if "HTTP 404" in str(error):
                    continue
                raise
            # Not by `splitlines`, which divides at characters that JSON may contain.
            for line in content.content.split(b"\n"):
                if line.strip():
                    reply = _parsed(line)
                    yield str(reply.get("custom_id")), {**reply, "batch_id": batch_id}

    def read(self, reply: BatchReply) -> GenerationResult:
        """Return a line of a file of replies as a result."""
        response = reply.get("response")
        error = reply.get("error")
        if not isinstance(response, Mapping):
            said = _words_of(error)
            # Expired or cancelled before the row's turn came, or lost.
            lost = TransientError(f"the batch has no answer: {said}")
            raise self.model.batch_fault(lost.marked(is_free=True))
        body = response.get("body")
        status = response.get("status_code") or 200
        if status >= 400:
            failed = body.get("error") if isinstance(body, Mapping) else None
            code = read_field(failed, "code") or read_field(failed, "type") or ""
            said = f"HTTP {status}: {_words_of(failed or body)}"
            fault = fault_of_status(status, said, code=str(code))
            raise self.model.batch_fault(fault.marked(is_free=True))
        transport = {
            "batch_id": reply["batch_id"],
            "request_id": response.get("request_id"),
        }
        return self.model.batch_result(body, transport)

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
            said += f": {_words_of(error)}"
        fault: ThemisError = fault_of_code(min(codes, default=""), "", said)
        # What a line has wrong would be wrong again, and so would every other line.
        if codes & _QUEUE_IS_FULL:
            fault = TransientError(said)
        elif not isinstance(fault, TransientError):
            fault = FatalError(said)
        return self.model.batch_fault(fault.marked(is_free=True))


def _parsed(line: bytes) -> JsonObject:
    try:
        reply = json.loads(line)
    except ValueError as error:
        raise TransientError(f"a file of replies is not JSON: {error}") from None
    if not isinstance(reply, dict):
        raise TransientError("a file of replies has a line that is no object")
    return reply


def _words_of(error: Any) -> str:
    code = read_field(error, "code")
    said = read_field(error, "message") or error
    words = " ".join(str(said).split())
    return f"{code}: {words}" if code else words
