"""Mistral's batch jobs, by the client of its SDK that any-llm holds.

any-llm's own functions for batches upload and submit in one call, and read replies as
if OpenAI had sent them: here each step is a call, and replies are read as live ones.
The names are those of Mistral's API reference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from themis_lib.adapters import batch_files
from themis_lib.adapters.batched_model import BATCH_LABEL, CLOCK_S, BatchedModel
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.reply_fields import read_field, read_items
from themis_lib.core.batches import BatchLimits, BatchReply, BatchStatus, FoundBatch
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.errors import RowError, TransientError
from themis_lib.identity.digests import canonical_json

#: What Mistral takes as one batch: a million requests, a file of 512 MB
#: (docs.mistral.ai/capabilities/batch, and its API reference for files).
_LIMITS = BatchLimits(rows=1_000_000, bytes=500_000_000)
_ENDPOINT = "/v1/chat/completions"
_ENDED = frozenset({"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"})
#: The most jobs that one request lists.
_PAGE = 100
#: Fields of a live request that the job has instead, or that a batch has no use for.
_NOT_IN_LINES = ("model", "stream")


@dataclass(frozen=True)
class MistralBatches:
    """Mistral's batch jobs for one generator; see `core.batches.BatchApi`.

    The label is in a job's metadata, and so is found again by listing jobs. `name` is
    the model's, which is a field of the job.
    """

    name: str
    model: BatchedModel
    limits: BatchLimits = _LIMITS

    def line(
        self,
        custom_id: str,
        case: Case,
        ctx: GenerateContext,
    ) -> bytes:
        """Return the request for a row as a line of the file."""
        body = _live_body(self.model.batch_request(case, ctx))
        for name in _NOT_IN_LINES:
            body.pop(name, None)
        return canonical_json({"custom_id": custom_id, "body": body}).encode()

    async def prepare(self, lines: Sequence[bytes]) -> JsonObject:
        """Upload the file of the requests."""
        content = b"\n".join(lines) + b"\n"
        file = await self.model.ask_client(
            lambda client: client.files.upload_async,
            file={"file_name": "requests.jsonl", "content": content},
            purpose="batch",
        )
        return {"input_file_id": read_field(file, "id")}

    async def discard(self, prepared: Mapping[str, Any]) -> None:
        """Delete the uploaded file."""
        await self.model.ask_client(
            lambda client: client.files.delete_async,
            file_id=prepared["input_file_id"],
        )

    async def submit(
        self,
        label: str,
        lines: Sequence[bytes],
        prepared: Mapping[str, Any],
        *,
        timeout_s: float,
    ) -> str:
        """Create the job of an uploaded file."""
        del lines
        job = await self.model.ask_client(
            lambda client: client.batch.jobs.create_async,
            timeout_s=timeout_s,
            input_files=[prepared["input_file_id"]],
            endpoint=_ENDPOINT,
            model=self.name,
            metadata={BATCH_LABEL: label},
            # Whatever an injected client does: a second request is a second job.
            retries=None,
        )
        return str(read_field(job, "id"))

    async def find(
        self,
        label: str,
        custom_ids: Sequence[str],
        prepared: Mapping[str, Any],
        *,
        since: float,
        not_these: Sequence[str],
    ) -> FoundBatch:
        """Look for the job with a label among the account's, newest first."""
        del custom_ids, prepared, not_these
        page = 0
        while True:
            reply = await self.model.ask_client(
                lambda client: client.batch.jobs.list_async,
                page=page,
                page_size=_PAGE,
            )
            jobs = list(read_items(reply, "data"))
            for job in jobs:
                metadata = read_field(job, "metadata")
                if isinstance(metadata, Mapping) and metadata.get(BATCH_LABEL) == label:
                    return FoundBatch(str(read_field(job, "id")))
            # A new job moves the others to later pages: none is missed.
            if not jobs or read_field(jobs[-1], "created_at") < since - CLOCK_S:
                return FoundBatch(None)
            page += 1

    async def status(self, batch_id: str) -> BatchStatus:
        """Return how far a job is."""
        job = await self._retrieve(batch_id)
        state = str(read_field(job, "status"))
        answered = 0
        for name in ("succeeded_requests", "failed_requests"):
            answered += read_field(job, name) or 0
        return BatchStatus(
            state=state,
            has_ended=state in _ENDED,
            answered=answered,
            rows=read_field(job, "total_requests") or 0,
            failure=self._failure_of(job) if state == "FAILED" else None,
        )

    async def cancel(self, batch_id: str) -> None:
        """Cancel a job; one that has ended is left as it is."""
        try:
            await self.model.ask_client(
                lambda client: client.batch.jobs.cancel_async,
                job_id=batch_id,
            )
        except (RowError, TransientError):
            # It has ended, or the next look tries again to wait for its end.
            return

    async def replies(self, batch_id: str) -> AsyncIterator[tuple[str, BatchReply]]:
        """Yield the lines of both files of replies, of answers and of errors."""
        job = await self._retrieve(batch_id)
        file_ids = [read_field(job, name) for name in ("output_file", "error_file")]

        async def download(file_id: str) -> bytes:
            content: bytes = await self.model.ask_client(_download_of, file_id=file_id)
            return content

        async for reply in batch_files.replies_in(file_ids, download, batch_id):
            yield reply

    def read(self, reply: BatchReply) -> GenerationResult:
        """Return a line of a file of replies as a result."""
        return batch_files.result_of(reply, self.model, as_body=self._live_reply)

    def finish(
        self,
        result: GenerationResult,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return a result as a live call returns it for this case."""
        return self.model.finish_batch_result(result, case, ctx)

    def _live_reply(self, body: Any) -> Any:
        """Return the JSON of a reply as the object that the SDK makes of a live one."""
        from mistralai.client.models import ChatCompletionResponse

        try:
            return ChatCompletionResponse.model_validate(body)
        except ValueError as error:
            lost = TransientError(f"the provider's reply cannot be read: {error}")
            raise self.model.batch_fault(lost) from None

    async def _retrieve(self, batch_id: str) -> Any:
        return await self.model.ask_client(
            lambda client: client.batch.jobs.get_async,
            job_id=batch_id,
        )

    def _failure_of(self, job: Any) -> Exception:
        """Return what it means that a job failed as a whole.

        Its errors have no codes: it may be different the next time.
        """
        said = "the provider refused the batch"
        for error in read_items(job, "errors"):
            said += f": {batch_files.words_of(error)}"
        return self.model.batch_fault(TransientError(said).marked(is_free=True))


def _download_of(client: Any) -> Callable[..., Any]:
    async def download(*, file_id: str) -> bytes:
        response = await client.files.download_async(file_id=file_id)
        try:
            content: bytes = await response.aread()
        finally:
            await response.aclose()
        return content

    return download


class _SentError(Exception):
    """The body of a request, raised instead of sending it."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


class _NoConnection:
    """A client for the SDK that sends nothing."""

    def build_request(
        self,
        *arguments: Any,
        content: Any = None,
        **fields: Any,
    ) -> Any:
        """Raise `_SentError`."""
        raise _SentError(content)

    def send(self, *arguments: Any, **fields: Any) -> Any:
        """Send nothing."""

    def close(self) -> None:
        """Close nothing."""


# Cached: making a client takes as long as a hundred requests.
@cache
def _offline_sdk() -> Any:
    from mistralai.client import Mistral

    return Mistral(api_key="none", client=_NoConnection())


def _live_body(arguments: JsonObject) -> JsonObject:
    """Return the JSON that the SDK sends for the arguments of a live call."""
    try:
        _offline_sdk().chat.complete(**arguments)
    except _SentError as sent:
        body: JsonObject = orjson.loads(sent.body)
        return body
    raise TransientError("Mistral's SDK made no request")
