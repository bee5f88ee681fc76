"""A provider of the tests' own: a real HTTP server on loopback that speaks Chat
Completions and Responses.

It records every request, and a script chooses what it does wrong.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Fault:
    """How a reply differs from a good one."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: The whole body; else that of a good reply, with `changes`.
    body: bytes | dict[str, Any] | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    wait_s: float = 0.0
    #: The headers promise more than is sent before the connection is closed.
    cut: bool = False
    #: A byte at a time, so slowly that it never ends.
    drips: bool = False
    #: The reply holds the request's headers and address, in its text or its error
    #: message.
    echo: bool = False


@dataclass(frozen=True)
class Request:
    """A request as it came in, which try of its prompt it was, and how it was
    answered.
    """

    path: str
    query: str
    headers: dict[str, str]
    body: dict[str, Any]
    attempt: int
    at: float
    fault: Fault | None
    #: The client's end of the connection that it came over.
    port: int


def refused(retry_after: str | None = None, status: int = 429, **error: Any) -> Fault:
    """An error reply; more of the error, such as its `code`, by name."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Fault(
        status, headers, {"error": {"message": f"refused with {status}", **error}}
    )


CUT = Fault(cut=True)
DRIP = Fault(drips=True, changes={"text": "x" * 100_000})
SILENT = Fault(wait_s=60)
GARBAGE = Fault(body=b'{"choices": [')
EMPTY = Fault(body={"id": "empty", "choices": [], "output": None})
BIG = Fault(changes={"text": "x" * 10_000_000})
FILTERED = Fault(changes={"finish_reason": "content_filter"})
REFUSAL = Fault(changes={"text": None, "refusal": "I cannot help with that."})

Script = Callable[[int, dict[str, Any]], Fault | None]


class ProviderServer:
    """Use as a context manager. `url` is the base URL to give to an adapter.

    `script(attempt, body)` is asked for each request; `attempt` counts the requests
    with the same body, from 1. While `holds()` no request is answered.
    """

    #: The header with a reply's id.
    id_header = "x-request-id"

    def __init__(self, script: Script | None = None, *, delay_s: float = 0.0) -> None:
        self.script: Script = script or (lambda attempt, body: None)
        self.delay_s = delay_s
        self.holds: Callable[[], bool] = lambda: False
        self.requests: list[Request] = []
        self.most_in_flight = 0
        self._in_flight = 0
        self._attempts: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ProviderServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests]

    @property
    def answered(self) -> list[str]:
        """The prompt of each request that got a good reply."""
        return [
            prompt_of(request.body)
            for request in self.requests
            if request.fault is None
        ]

    def forget(self) -> None:
        """Start the record anew, and the script without faults."""
        self.requests.clear()
        self._attempts.clear()
        self.most_in_flight = 0
        self.script = lambda attempt, body: None

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**26)
        self._add_routes(app)
        app.router.add_route("POST", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    def _add_routes(self, app: web.Application) -> None:
        """Add what a subclass answers beside replies."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return await self._reply(request)
        finally:
            self._in_flight -= 1

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        at = time.monotonic()
        body = await request.json()
        prompt = json.dumps(body, sort_keys=True)
        self._attempts[prompt] += 1
        attempt = self._attempts[prompt]
        fault = self._fault_of(request, attempt, body)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(
            Request(
                request.path,
                request.query_string,
                headers,
                body,
                attempt,
                at,
                fault,
                _client_port(request),
            )
        )
        fault = fault or Fault()
        while self.holds():
            await asyncio.sleep(0.1)
        await asyncio.sleep(fault.wait_s or self.delay_s)
        content = self._content(fault, request, body)
        sent_headers = {
            "Content-Type": "application/json",
            self.id_header: f"req-{len(self.requests)}",
        }
        if fault.echo:
            sent_headers |= {f"x-echo-{name}": value for name, value in headers.items()}
        if fault.cut or fault.drips:
            sent_headers["Content-Length"] = str(len(content))
            cut = web.StreamResponse(status=fault.status, headers=sent_headers)
            await cut.prepare(request)
            await cut.write(content[: len(content) // 2])
            while fault.drips:
                await asyncio.sleep(0.02)
                await cut.write(b" ")
            assert request.transport is not None
            request.transport.close()
            return cut
        return web.Response(
            status=fault.status, body=content, headers={**sent_headers, **fault.headers}
        )

    def _fault_of(
        self, request: web.Request, attempt: int, body: dict[str, Any]
    ) -> Fault | None:
        """What is wrong with the reply to a request; `None` for a good one."""
        return self.script(attempt, body)

    def _content(
        self, fault: Fault, request: web.Request, body: dict[str, Any]
    ) -> bytes:
        if isinstance(fault.body, bytes):
            return fault.body
        echoed = f"{dict(request.headers)} {request.url}" if fault.echo else ""
        reply = fault.body
        if reply is None:
            changes = {"text": echoed} if echoed else {}
            reply = self._good_reply(request.path, body, **{**changes, **fault.changes})
        elif echoed:
            reply = {
                "error": {**reply.get("error", {}), "message": f"not so: {echoed}"}
            }
        return json.dumps(reply).encode()

    def _good_reply(
        self, path: str, body: dict[str, Any], **changes: Any
    ) -> dict[str, Any]:
        """A good reply in the protocol of an address."""
        if path.endswith("/responses"):
            return response(body, **changes)
        if path.endswith("/v1/completions"):
            return echoed_prompt(body, **changes)
        return completion(body, **changes)


def _client_port(request: web.Request) -> int:
    assert request.transport is not None
    port: int = request.transport.get_extra_info("peername")[1]
    return port


def prompt_of(body: dict[str, Any]) -> str:
    """The last thing said in a request of either kind."""
    said = body.get("messages") or body.get("prompt") or body["input"]
    return said if isinstance(said, str) else str(said[-1].get("content"))


def completion(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A good reply of Chat Completions: it answers what was said last with itself."""
    reply = {
        "text": f"re: {prompt_of(body)}",
        "finish_reason": "stop",
        "refusal": None,
        "message": {},
    } | changes
    message = {
        "role": "assistant",
        "content": reply["text"],
        "refusal": reply["refusal"],
        **reply["message"],
    }
    choice = {"index": 0, "message": message, "finish_reason": reply["finish_reason"]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": f"{body['model']}-2026",
        "system_fingerprint": "fp-1",
        "choices": [choice | changes.get("choice", {})],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 3},
            **changes.get("usage", {}),
        },
    }


def echoed_prompt(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A good reply of Completions with `echo`: a token a word, rated by its length.

    A word is greedy if it has an `o`.
    """
    tokens = [*re.findall(r"\s*\S+|\s+$", body["prompt"]), " end"]
    logprobs: list[float | None] = [-float(len(token)) for token in tokens]
    logprobs[0] = None
    likeliest: list[dict[str, float] | None] = []
    for token in tokens:
        best = 0.0 if "o" in token else 1.0
        likeliest.append({token: -float(len(token)), "x": best - len(token)})
    likeliest[0] = None
    rated = {
        "tokens": tokens,
        "token_logprobs": logprobs,
        "top_logprobs": likeliest,
        **changes,
    }
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "text": "".join(tokens), "logprobs": rated}],
        "usage": {"prompt_tokens": len(tokens) - 1, "completion_tokens": 1},
    }


def response(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A good reply of Responses."""
    reply = {
        "text": f"re: {prompt_of(body)}",
        "finish_reason": None,
        "refusal": None,
    } | changes
    if reply["refusal"]:
        part = {"type": "refusal", "refusal": reply["refusal"]}
    else:
        part = {
            "type": "output_text",
            "text": reply["text"],
            "annotations": [],
            "logprobs": changes.get("logprobs", []),
        }
    message = {
        "id": "msg-1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    cut_short = reply["finish_reason"]
    return {
        "id": "resp-1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": f"{body['model']}-2026",
        "status": "incomplete" if cut_short else "completed",
        "incomplete_details": {"reason": cut_short} if cut_short else None,
        "error": None,
        "output": changes.get("output", [message]),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 11,
            "output_tokens": 7,
            "total_tokens": 18,
            "input_tokens_details": {"cached_tokens": 5},
            "output_tokens_details": {"reasoning_tokens": 3},
        },
    }
