"""A provider of the tests' own that speaks Anthropic's Messages API.

It refuses what the API refuses: unknown fields, messages that do not fit, settings that
contradict each other. Its error messages begin as the API's do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.support.provider_server import Fault, ProviderServer

FIELDS = {
    "model",
    "max_tokens",
    "messages",
    "system",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "thinking",
    "output_config",
    "tools",
    "tool_choice",
    "metadata",
    "service_tier",
}
BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result"},
    "assistant": {
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "server_tool_use",
    },
}
#: The statuses of the API's types of errors.
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def failed(
    kind: str,
    message: str = "",
    *,
    status: int | None = None,
    retry_after: str | None = None,
) -> Fault:
    """An error reply of a type; `status=200` hides it under success."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    error = {"type": kind, "message": message or f"it is {kind}"}
    body = {"type": "error", "error": error, "request_id": "req_1"}
    return Fault(STATUSES[kind] if status is None else status, headers, body)


class AnthropicServer(ProviderServer):
    """`ProviderServer` for the Messages API; `url` is the base URL for the adapter."""

    id_header = "request-id"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def answered_texts(self) -> list[str]:
        """What was said last in each request that got a good reply."""
        good = [request for request in self.requests if request.fault is None]
        return [said_last(request.body) for request in good]

    def _fault_of(
        self, request: web.Request, attempt: int, body: dict[str, Any]
    ) -> Fault | None:
        has_key = request.headers.get("x-api-key")
        if not has_key and not request.headers.get("authorization"):
            return failed("authentication_error", "x-api-key header is required")
        if not request.headers.get("anthropic-version"):
            return failed("invalid_request_error", "anthropic-version: required")
        if request.path.split("?")[0].endswith("/v1/messages"):
            problem = next(problems(body), None)
            if problem:
                return failed("invalid_request_error", problem)
            return self.script(attempt, body)
        return failed("not_found_error", f"no {request.path}")

    def _good_reply(
        self, path: str, body: dict[str, Any], **changes: Any
    ) -> dict[str, Any]:
        return message(body, **changes)


def said_last(body: dict[str, Any]) -> str:
    """The text of the last message."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content)


def message(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A good reply: it answers what was said last with itself."""
    text = changes.pop("text", f"re: {said_last(body)}")
    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{body['model']}-20260101",
        "content": [{"type": "text", "text": text, "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 4,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 5,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3},
            "service_tier": "standard",
        },
    }
    return reply | changes


def problems(body: dict[str, Any]) -> Iterator[str]:
    """Yield what the API refuses in a request."""
    for name in sorted(body.keys() - FIELDS):
        yield f"{name}: Extra inputs are not permitted"
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            yield f"{name}: Field required"
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    yield from _problems_of_messages(body["messages"])
    yield from _problems_of_thinking(body)
    for at, tool in enumerate(body.get("tools", ())):
        if "input_schema" not in tool and "type" not in tool:
            yield f"tools.{at}.custom.input_schema: Field required"
    marks = json.dumps(body).count('"cache_control"')
    if marks > 4:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
    schema = body.get("output_config", {}).get("format", {}).get("schema", {})
    if (
        schema.get("type") == "object"
        and schema.get("additionalProperties") is not False
    ):
        yield (
            "output_config.format.schema: For 'object' type, 'additionalProperties' must "
            "be explicitly set to false"
        )


def _problems_of_thinking(body: dict[str, Any]) -> Iterator[str]:
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] == "disabled":
        return
    if body.get("temperature", 1) != 1:
        yield "`temperature` may only be set to 1 when thinking is enabled."
    budget = thinking.get("budget_tokens")
    if thinking["type"] == "enabled":
        if budget < 1024:
            yield (
                "thinking.enabled.budget_tokens: Input should be greater than or equal "
                "to 1024"
            )
        if budget >= body["max_tokens"]:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`."
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        yield "Thinking may not be enabled when tool_choice forces tool use."
    for at, said in enumerate(body["messages"]):
        blocks = said["content"] if isinstance(said["content"], list) else []
        kinds = [block["type"] for block in blocks]
        if "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking"):
            yield (
                f"messages.{at}.content.0.type: Expected `thinking` or "
                f"`redacted_thinking`, but found `{kinds[0]}`."
            )


def _problems_of_messages(messages: list[dict[str, Any]]) -> Iterator[str]:
    if not messages:
        yield "messages: at least one message is required"
    called: list[str] = []
    for at, said in enumerate(messages):
        place = f"messages.{at}"
        content = said["content"]
        blocks = content if isinstance(content, list) else [_text(content)]
        yield from _problems_of_message(said, blocks, place)
        answered = [block.get("tool_use_id") for block in blocks]
        if missing := [name for name in called if name not in answered]:
            yield f"{place}: `tool_use` ids without `tool_result` blocks: {missing}"
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
    last = messages[-1]
    if last["role"] == "assistant" and str(last["content"]).endswith(" "):
        yield "messages: final assistant content cannot end with trailing whitespace"


def _problems_of_message(
    said: dict[str, Any], blocks: list[dict[str, Any]], place: str
) -> Iterator[str]:
    for name in sorted(said.keys() - {"role", "content"}):
        yield f"{place}.{name}: Extra inputs are not permitted"
    if said["role"] not in BLOCKS:
        yield f"{place}.role: Input should be 'user' or 'assistant'"
    if not blocks:
        yield f"{place}: all messages must have non-empty content"
    for number, block in enumerate(blocks):
        kind = block["type"]
        if kind not in BLOCKS[said["role"]]:
            yield f"{place}.content.{number}: Input tag '{kind}' is not expected"
        if kind == "text" and not block["text"].strip():
            yield f"{place}.content.{number}.text: text content blocks must be non-empty"


def _text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}
