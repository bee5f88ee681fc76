"""A provider on loopback that speaks Mistral's files and batch jobs beside live replies."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from tests.support.batch_server import Batch, BatchServer

_STATES = {
    "in_progress": "RUNNING",
    "completed": "SUCCESS",
    "expired": "TIMEOUT_EXCEEDED",
    "cancelled": "CANCELLED",
    "failed": "FAILED",
}


class MistralBatchServer(BatchServer):
    """The settings are those of `BatchServer`; `url` has no version in it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _add_routes(self, app: web.Application) -> None:
        app.middlewares.append(self._faults)
        router = app.router
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files/{id}/content", self._file_content)
        router.add_delete("/v1/files/{id}", self._delete)
        router.add_post("/v1/batch/jobs", self._create)
        router.add_get("/v1/batch/jobs", self._list)
        router.add_get("/v1/batch/jobs/{id}", self._retrieve)
        router.add_post("/v1/batch/jobs/{id}/cancel", self._cancel)

    async def _upload(self, request: web.Request) -> web.Response:
        await super()._upload(request)
        file_id, content = list(self.files.items())[-1]
        return web.json_response(
            {
                "id": file_id,
                "object": "file",
                "bytes": len(content),
                "created_at": int(time.time()),
                "filename": "requests.jsonl",
                "purpose": "batch",
                "sample_type": "batch_request",
                "source": "upload",
            }
        )

    async def _take(self, body: dict[str, Any]) -> Batch:
        assert {
            "input_files",
            "endpoint",
            "model",
            "metadata",
            "timeout_hours",
        } == body.keys()
        (file_id,) = body["input_files"]
        batch = await super()._take({**body, "input_file_id": file_id})
        for line in batch.lines:
            assert {"custom_id", "body"} == line.keys()
            # The job has the model and the address.
            assert "model" not in line["body"]
            line["url"] = body["endpoint"]
            line["body"]["model"] = body["model"]
        return batch

    async def _list(self, request: web.Request) -> web.Response:
        assert "-created" == request.query["order_by"]
        newest = list(reversed(self.batches.values()))
        size = int(request.query["page_size"])
        start = int(request.query["page"]) * size
        shown = [self._shown(batch) for batch in newest[start : start + size]]
        reply = {"object": "list", "total": len(newest), "data": shown}
        return web.json_response(reply)

    def _shown(self, batch: Batch) -> dict[str, Any]:
        shown = super()._shown(batch)
        errors = [] if shown["errors"] is None else shown["errors"]["data"]
        counts = shown["request_counts"]
        return {
            "id": batch.id,
            "object": "batch",
            "input_files": [batch.file_id],
            "endpoint": batch.endpoint,
            "errors": [{"message": error["message"]} for error in errors],
            "status": _STATES[shown["status"]],
            "created_at": shown["created_at"],
            "metadata": batch.metadata,
            "output_file": shown["output_file_id"],
            "error_file": shown["error_file_id"],
            "total_requests": counts["total"],
            "completed_requests": counts["completed"],
            "succeeded_requests": counts["completed"],
            "failed_requests": 0,
        }
