"""A provider on loopback that speaks Anthropic's Message Batches beside messages."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.support.anthropic_server import AnthropicServer, message, problems
from tests.support.batch_server import Fate

_TYPES = {"answered": "succeeded", "expired": "expired"}


@dataclass
class MessageBatch:
    """A batch as the server keeps it."""

    id: str
    created: float
    requests: list[dict[str, Any]]
    fates: list[Fate]
    ends_at: float


class AnthropicBatchServer(AnthropicServer):
    """The settings are those of `BatchServer`."""

    def __init__(self, *, batch_s: float = 0.0, create_s: float = 0.0) -> None:
        super().__init__()
        self.batch_s = batch_s
        self.create_s = create_s
        self.fate: Callable[[str, int], Fate] = lambda custom_id, attempt: "answered"
        self.refuses: Callable[[str, int], int | None] = lambda path, number: None
        self.batches: dict[str, MessageBatch] = {}
        self.created: list[dict[str, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.sent: Counter[str] = Counter()
        self.charged: Counter[str] = Counter()

    def _add_routes(self, app: web.Application) -> None:
        app.middlewares.append(self._faults)
        base = "/v1/messages/batches"
        app.router.add_post(base, self._create)
        app.router.add_get(base, self._list)
        app.router.add_get(base + "/{id}", self._retrieve)
        app.router.add_post(base + "/{id}/cancel", self._cancel)
        app.router.add_get(base + "/{id}/results", self._results)

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
            error = {"type": "api_error", "message": f"refused with {status}"}
            body = {"type": "error", "error": error}
            headers = {"Retry-After": "0.02"}
            return web.json_response(body, status=status, headers=headers)
        reply: web.StreamResponse = await handler(request)
        return reply

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        batch = await asyncio.shield(asyncio.ensure_future(self._take(body, headers)))
        await asyncio.sleep(self.create_s / 2)
        return web.json_response(self._shown(batch))

    async def _take(
        self, body: dict[str, Any], headers: dict[str, str]
    ) -> MessageBatch:
        await asyncio.sleep(self.create_s / 2)
        self.created.append(headers)
        assert {"requests"} == body.keys()
        now = time.time()
        batch_id = f"msgbatch_{len(self.batches) + 1}"
        batch = MessageBatch(batch_id, now, body["requests"], [], now + self.batch_s)
        for item in batch.requests:
            assert {"custom_id", "params"} == item.keys()
            assert len(item["custom_id"]) <= 64
            self.sent[item["custom_id"]] += 1
            fate = self.fate(item["custom_id"], self.sent[item["custom_id"]])
            if next(problems(item["params"]), None):
                fate = "refused"
            batch.fates.append(fate)
            self.charged[item["custom_id"]] += fate == "answered"
        self.batches[batch_id] = batch
        return batch

    async def _list(self, request: web.Request) -> web.Response:
        newest = list(reversed(self.batches.values()))
        ids = [batch.id for batch in newest]
        after = request.query.get("after_id")
        start = ids.index(after) + 1 if after else 0
        limit = int(request.query.get("limit", 20))
        shown = [self._shown(batch) for batch in newest[start : start + limit]]
        more = start + limit < len(newest)
        return web.json_response({"data": shown, "has_more": more})

    async def _retrieve(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(self.batches[request.match_info["id"]]))

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        if time.time() < batch.ends_at:
            for item, fate in zip(batch.requests, batch.fates, strict=True):
                self.charged[item["custom_id"]] -= fate == "answered"
            batch.fates = ["expired"] * len(batch.requests)
            batch.ends_at = 0
        return web.json_response(self._shown(batch))

    async def _results(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        rows = list(zip(batch.requests, batch.fates, strict=True))
        lines = [json.dumps(_result(item, fate)) for item, fate in reversed(rows)]
        content = "\n".join(lines).encode() + b"\n"
        return web.Response(body=content, content_type="application/x-jsonl")

    def _shown(self, batch: MessageBatch) -> dict[str, Any]:
        has_ended = time.time() >= batch.ends_at
        counts = dict.fromkeys(
            ("processing", "succeeded", "errored", "canceled", "expired"), 0
        )
        for fate in batch.fates:
            name = _TYPES.get(fate, "errored") if has_ended else "processing"
            counts[name] += 1
        created = datetime.fromtimestamp(batch.created, UTC).isoformat()
        url = f"{self.url}/v1/messages/batches/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if has_ended else "in_progress",
            "request_counts": counts,
            "created_at": created,
            "expires_at": created,
            "ended_at": created if has_ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": url if has_ended else None,
        }


def _result(item: dict[str, Any], fate: Fate) -> dict[str, Any]:
    result: dict[str, Any] = {"type": _TYPES.get(fate, "errored")}
    if fate == "answered":
        result["message"] = message(item["params"])
    elif fate != "expired":
        kind = "invalid_request_error" if fate == "refused" else "api_error"
        error = {"type": kind, "message": f"it is {fate}"}
        result["error"] = {"type": "error", "error": error, "request_id": "req_1"}
    return {"custom_id": item["custom_id"], "result": result}
