"""Files of replies to a batch, a line of JSON for each row.

OpenAI's form, which Mistral has too: `custom_id`, `response` and `error`.
"""

from __future__ import annotations

import json
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any

from themis_lib.adapters.batched_model import BatchedModel
from themis_lib.adapters.faults import fault_of_status
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.reply_fields import read_field
from themis_lib.core.batches import BatchReply
from themis_lib.core.models import GenerationResult
from themis_lib.errors import FatalError, TransientError


def replies_of(
    content: bytes,
    batch_id: str,
) -> Iterator[tuple[str, BatchReply]]:
    """Yield the custom id and the reply of each line of a file.

    Raise `TransientError` for a line that is not a JSON object.
    """
    # Not by `splitlines`, which divides at characters that JSON may contain.
    for line in content.split(b"\n"):
        if line.strip():
            reply = _parsed(line)
            yield str(reply.get("custom_id")), {**reply, "batch_id": batch_id}


async def replies_in(
    file_ids: Iterable[Any],
    download: Callable[[str], Awaitable[bytes]],
    batch_id: str,
) -> AsyncIterator[tuple[str, BatchReply]]:
    """Yield the lines of files of replies, without those that there are none of.

    Files of replies are kept for some time only: one that is gone has no lines.
    """
    for file_id in file_ids:
        if not isinstance(file_id, str):
            continue
        try:
            content = await download(file_id)
        except FatalError as error:
            if "HTTP 404" in str(error):
                continue
            raise
        for custom_id, reply in replies_of(content, batch_id):
            yield custom_id, reply


def result_of(
    reply: BatchReply,
    model: BatchedModel,
    *,
    as_body: Callable[[Any], Any] = lambda body: body,
) -> GenerationResult:
    """Return a line as a result of the model. Raise as `BatchApi.read` does.

    `as_body` makes of the reply's JSON what the model reads live.
    """
    response = reply.get("response")
    error = reply.get("error")
    if not isinstance(response, Mapping):
        said = words_of(error)
        # Expired or cancelled before the row's turn came, or lost.
        lost = TransientError(f"the batch has no answer: {said}")
        raise model.batch_fault(lost.marked(is_free=True))
    body = response.get("body")
    status = response.get("status_code") or 200
    if status >= 400:
        failed = read_field(body, "error") or body
        code = read_field(failed, "code") or read_field(failed, "type") or ""
        said = f"HTTP {status}: {words_of(failed)}"
        fault = fault_of_status(status, said, code=str(code))
        raise model.batch_fault(fault.marked(is_free=True))
    transport = {
        "batch_id": reply["batch_id"],
        "request_id": response.get("request_id"),
    }
    return model.batch_result(as_body(body), transport)


def words_of(error: Any) -> str:
    """Return what a provider says of an error, after its code."""
    code = read_field(error, "code")
    said = read_field(error, "message") or error
    words = " ".join(str(said).split())
    return f"{code}: {words}" if code else words


def _parsed(line: bytes) -> JsonObject:
    try:
        reply = json.loads(line)
    except ValueError as error:
        raise TransientError(f"a file of replies is not JSON: {error}") from None
    if not isinstance(reply, dict):
        raise TransientError("a file of replies has a line that is no object")
    return reply
