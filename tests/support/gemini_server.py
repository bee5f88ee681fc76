"""Google's Gemini API on loopback: `generateContent` as the official SDK asks for it."""

from __future__ import annotations

from typing import Any

from tests.support.provider_server import Fault, ProviderServer


class GeminiServer(ProviderServer):
    """A `ProviderServer` that speaks Gemini's protocol; `url` is the base URL."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _good_reply(
        self, path: str, body: dict[str, Any], **changes: Any
    ) -> dict[str, Any]:
        return generated(body, **changes)


def asked(body: dict[str, Any]) -> str:
    """The last text of a request."""
    return str(body["contents"][-1]["parts"][-1].get("text"))


def generated(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A good reply: it answers what was said last with itself, after a thought."""
    reply = {"text": f"re: {asked(body)}", "finish_reason": "STOP"} | changes
    parts = changes.get(
        "parts", [{"text": "let me see", "thought": True}, {"text": reply["text"]}]
    )
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": parts},
                "finishReason": reply["finish_reason"],
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 11,
            "cachedContentTokenCount": 5,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 3,
            "totalTokenCount": 18,
        },
        "modelVersion": "gemini-2.5-flash-001",
        "responseId": "resp-1",
    }


def refused(status: int, /, **error: Any) -> Fault:
    """An error reply of Google's."""
    said = {"code": status, "message": f"refused with {status}", "status": "FAILED"}
    return Fault(status, body={"error": {**said, **error}})
