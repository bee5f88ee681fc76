"""A provider on loopback that speaks OpenAI's Files and Batches beside live replies.

It counts what each row was charged: once for each batch that answers it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.support.provider_server import ProviderServer, completion, response

#: What becomes of a row: an answer, a refusal for its text, a failure for now, or none.
Fate = Literal["answered", "refused", "failed", "expired"]


@dataclass
class Batch:
    """A batch as the server keeps it: its lines, and when and how it ends."""

    id: str
    created: float
    metadata: dict[str, str]
    endpoint: str
    file_id: str
    lines: list[dict[str, Any]]
    fates: list[Fate]
    ends_as: str
    ends_at: float
    cancelled: bool = False
    answers: dict[str, bytes] = field(default_factory=dict)


class BatchServer(ProviderServer):
    """`batch_s` is how long a batch takes, `create_s` how long its creation does.

    `fate(custom_id, attempt)` decides what becomes of a row that is sent for the
    `attempt`-th time, `ends_as(n)` the last state of the n-th batch, and `refuses(path,
    n)` the status of the n-th request, 0 for a connection that is cut.
    """

    def __init__(self, *, batch_s: float = 0.0, create_s: float = 0.0) -> None:
        super().__init__()
        self.batch_s = batch_s
        self.create_s = create_s
        self.fate: Callable[[str, int], Fate] = lambda custom_id, attempt: "answered"
        self.ends_as: Callable[[int], str] = lambda number: "completed"
        self.refuses: Callable[[str, int], int | None] = lambda path, number: None
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.asked: list[tuple[str, str]] = []
        self.created: list[dict[str, Any]] = []
        self.sent: Counter[str] = Counter()
        self.charged: Counter[str] = Counter()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every line of every batch, in the order in which they came."""
        return [line for batch in self.batches.values() for line in batch.lines]

    def end_batches(self) -> None:
        """Let every batch end now."""
        for batch in self.batches.values():
            batch.ends_at = 0

    def forget(self) -> None:
        super().forget()
        self.asked.clear()
        self.created.clear()

    def _add_routes(self, app: web.Application) -> None:
        app.middlewares.append(self._faults)
        router = app.router
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files/{id}/content", self._file_content)
        router.add_delete("/v1/files/{id}", self._delete)
        router.add_post("/v1/batches", self._create)
        router.add_get("/v1/batches", self._list)
        router.add_get("/v1/batches/{id}", self._retrieve)
        router.add_post("/v1/batches/{id}/cancel", self._cancel)

    @web.middleware
    async def _faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        status = self.refuses(request.path, len(self.asked))
        if status == 0:
            # The request is carried out, and its reply is lost.
            await handler(request)
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if status is not None:
            body = {"error": {"message": f"refused with {status}"}}
            headers = {"Retry-After": "0.02"}
            return web.json_response(body, status=status, headers=headers)
        reply: web.StreamResponse = await handler(request)
        return reply

    async def _upload(self, request: web.Request) -> web.Response:
        posted = await request.post()
        assert posted["purpose"] == "batch"
        file_id = f"file-{len(self.files) + 1}"
        upload: Any = posted["file"]
        self.files[file_id] = upload.file.read()
        return web.json_response({"id": file_id, "object": "file", "purpose": "batch"})

    async def _file_content(self, request: web.Request) -> web.Response:
        file_id = request.match_info["id"]
        if file_id not in self.files:
            return _not_found(file_id)
        return web.Response(body=self.files[file_id])

    async def _delete(self, request: web.Request) -> web.Response:
        file_id = request.match_info["id"]
        self.files.pop(file_id, None)
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        # A client that has gone does not take its request back.
        batch = await asyncio.shield(asyncio.ensure_future(self._take(body)))
        await asyncio.sleep(self.create_s / 2)
        return web.json_response(self._shown(batch))

    async def _take(self, body: dict[str, Any]) -> Batch:
        await asyncio.sleep(self.create_s / 2)
        self.created.append(body)
        number = len(self.batches) + 1
        content = self.files[body["input_file_id"]]
        lines = [json.loads(line) for line in content.splitlines()]
        now = time.time()
        batch = Batch(
            id=f"batch_{number}",
            created=now,
            metadata=body["metadata"],
            endpoint=body["endpoint"],
            file_id=body["input_file_id"],
            lines=lines,
            fates=[],
            ends_as=self.ends_as(number),
            ends_at=now + self.batch_s,
        )
        for line in lines:
            custom_id = line["custom_id"]
            self.sent[custom_id] += 1
            fate = self.fate(custom_id, self.sent[custom_id])
            batch.fates.append(fate)
            if batch.ends_as != "failed":
                self.charged[custom_id] += fate == "answered"
        self.batches[batch.id] = batch
        return batch

    async def _list(self, request: web.Request) -> web.Response:
        newest = list(reversed(self.batches.values()))
        ids = [batch.id for batch in newest]
        after = request.query.get("after")
        start = ids.index(after) + 1 if after else 0
        limit = int(request.query.get("limit", 20))
        shown = [self._shown(batch) for batch in newest[start : start + limit]]
        more = start + limit < len(newest)
        return web.json_response({"object": "list", "data": shown, "has_more": more})

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return _not_found(request.match_info["id"])
        return web.json_response(self._shown(batch))

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        if self._state(batch) == "in_progress":
            batch.cancelled = True
            for line, fate in zip(batch.lines, batch.fates, strict=True):
                self.charged[line["custom_id"]] -= fate == "answered"
            batch.fates = ["expired"] * len(batch.lines)
            batch.ends_as = "cancelled"
            batch.ends_at = 0
        return web.json_response(self._shown(batch))

    def _state(self, batch: Batch) -> str:
        return batch.ends_as if time.time() >= batch.ends_at else "in_progress"

    def _shown(self, batch: Batch) -> dict[str, Any]:
        """The batch object; its files are there once it has ended."""
        state = self._state(batch)
        answered = batch.fates.count("answered")
        errors = None
        if state in ("completed", "expired", "cancelled"):
            self._write_files(batch)
        elif state == "failed":
            answered = 0
            error = {"code": "token_limit_exceeded", "message": "the queue is full"}
            errors = {"object": "list", "data": [error]}
        else:
            answered = 0
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "input_file_id": batch.file_id,
            "completion_window": "24h",
            "created_at": int(batch.created),
            "status": state,
            "errors": errors,
            "metadata": batch.metadata,
            "output_file_id": f"{batch.id}-output"
            if "output" in batch.answers
            else None,
            "error_file_id": f"{batch.id}-error" if "error" in batch.answers else None,
            "request_counts": {
                "total": len(batch.lines),
                "completed": answered,
                "failed": 0,
            },
        }

    def _write_files(self, batch: Batch) -> None:
        if batch.answers:
            return
        lines: dict[str, list[bytes]] = {}
        # Replies come in any order.
        rows = list(zip(batch.lines, batch.fates, strict=True))
        for line, fate in reversed(rows):
            name = "output" if fate == "answered" else "error"
            reply = _reply(line, fate)
            lines.setdefault(name, []).append(json.dumps(reply).encode())
        for name, replies in lines.items():
            batch.answers[name] = b"\n".join(replies) + b"\n"
            self.files[f"{batch.id}-{name}"] = batch.answers[name]


def _reply(line: dict[str, Any], fate: Fate) -> dict[str, Any]:
    reply: dict[str, Any] = {
        "id": f"batch_req_{line['custom_id'][:8]}",
        "custom_id": line["custom_id"],
        "response": None,
        "error": None,
    }
    if fate == "expired":
        reply["error"] = {"code": "batch_expired", "message": "the window is over"}
        return reply
    status = {"answered": 200, "refused": 400, "failed": 500}[fate]
    answer = response if line["url"].endswith("/responses") else completion
    body = answer(line["body"])
    if fate != "answered":
        body = {"error": {"message": f"refused with {status}", "code": None}}
    reply["response"] = {
        "status_code": status,
        "request_id": f"req-{line['custom_id'][:8]}",
        "body": body,
    }
    return reply


def _not_found(name: str) -> web.Response:
    body = {"error": {"message": f"no such thing: {name}"}}
    return web.json_response(body, status=404)
