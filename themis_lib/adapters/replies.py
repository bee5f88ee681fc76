"""A provider's reply as a result. Replies are read by attribute or key, so that
injected clients may return either.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from themis_lib.core.models import GenerationResult, Message, TokenUsage, TraceStep
from themis_lib.errors import RowError, TransientError

#: Headers that are kept; nothing else of a reply's headers is.
_HEADERS = (
    "x-request-id",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "x-should-retry",
)
#: Codes of a failed response that may pass.
_PASSING = ("server_error", "rate_limit_exceeded", "vector_store_timeout")


def chat_result(
    reply: Any,
    headers: Mapping[str, str],
) -> GenerationResult:
    """The result of a chat completion. Raises `TransientError` for a reply without a
    choice.
    """
    choices = _first_present(reply, "choices")
    if not _is_list(choices) or not choices:
        raise TransientError(_unreadable_reply(reply, "no choices"))
    choice = choices[0]
    message = _first_present(choice, "message")
    if not isinstance(message, Mapping) and not hasattr(message, "content"):
        raise TransientError(_unreadable_reply(reply, "a choice without a message"))
    calls = [
        _tool_call_json(_first_present(call, "function", "custom"))
        for call in _first_present(message, "tool_calls") or ()
    ]
    logprobs = _first_present(choice, "logprobs")
    return _make_result(
        reply,
        headers,
        text=_content_text(_first_present(message, "content")),
        refusal=_first_present(message, "refusal"),
        calls=calls,
        finish_reason=_first_present(choice, "finish_reason"),
        reasoning=_first_present(message, "reasoning_content", "reasoning"),
        logprobs=_plain_json(_first_present(logprobs, "content")) if logprobs else None,
    )


def response_result(
    reply: Any,
    headers: Mapping[str, str],
) -> GenerationResult:
    """The result of a response. Raises `TransientError` for one that failed and may
    succeed, `RowError` if not.
    """
    failed = _first_present(reply, "error")
    if failed:
        said = f"{_first_present(failed, 'code')}: {_first_present(failed, 'message')}"
        raise (
            TransientError if _first_present(failed, "code") in _PASSING else RowError
        )(said)
    items = _first_present(reply, "output") or ()
    if not _is_list(items) or (
        not items and _first_present(reply, "output_text") is None
    ):
        raise TransientError(_unreadable_reply(reply, "no output"))
    parts = [
        part
        for item in items
        if _first_present(item, "type") == "message"
        for part in _first_present(item, "content") or ()
    ]
    refusals = [
        str(_first_present(part, "refusal"))
        for part in parts
        if _first_present(part, "type") == "refusal"
    ]
    calls = [
        _tool_call_json(item)
        for item in items
        if _first_present(item, "type") in ("function_call", "custom_tool_call")
    ]
    thoughts = [
        part
        for item in items
        if _first_present(item, "type") == "reasoning"
        for part in _first_present(item, "summary") or ()
    ]
    logprobs = [one for part in parts for one in _first_present(part, "logprobs") or ()]
    return _make_result(
        reply,
        headers,
        text=_first_present(reply, "output_text") or _join_texts(parts),
        refusal=" ".join(refusals) or None,
        calls=calls,
        finish_reason=_finish_reason(reply, calls),
        reasoning="\n".join(str(_first_present(part, "text")) for part in thoughts)
        or None,
        logprobs=_plain_json(logprobs) or None,
    )


def _make_result(
    reply: Any,
    headers: Mapping[str, str],
    *,
    text: str | None,
    refusal: str | None,
    calls: list[dict[str, Any]],
    finish_reason: str | None,
    reasoning: str | None,
    logprobs: Any,
) -> GenerationResult:
    said = Message(
        role="assistant",
        content=text,
        tool_calls=[{"function": call} for call in calls] or None,
    )
    artifacts = {
        "model": _first_present(reply, "model"),
        "system_fingerprint": _first_present(reply, "system_fingerprint"),
        "refusal": refusal,
        "reasoning": reasoning,
        "logprobs": logprobs,
    }
    steps = [
        TraceStep(
            name="generation",
            event="generation",
            output=text,
            metadata={"finish_reason": finish_reason},
        )
    ]
    steps += [
        TraceStep(
            name=str(call["name"]),
            event="tool_call",
            input=call["arguments"],
        )
        for call in calls
    ]
    return GenerationResult(
        final_output={"tool_calls": calls} if calls and not text else text,
        finish_reason=finish_reason,
        trace=steps,
        conversation=[said],
        artifacts={
            name: value for name, value in artifacts.items() if value is not None
        },
        transport=_transport_facts(reply, headers),
        usage=_token_usage(_first_present(reply, "usage")),
        error=_refusal_error(refusal, finish_reason),
    )


def _refusal_error(
    refusal: str | None,
    finish_reason: str | None,
) -> str | None:
    if refusal:
        return f"the model refused: {refusal}"
    return (
        "the provider's content filter stopped the answer"
        if finish_reason == "content_filter"
        else None
    )


def _finish_reason(
    reply: Any,
    calls: Sequence[Any],
) -> str | None:
    status = _first_present(reply, "status")
    if status == "incomplete":
        reason = _first_present(_first_present(reply, "incomplete_details"), "reason")
        return "length" if reason == "max_output_tokens" else reason
    if status == "completed":
        return "tool_calls" if calls else "stop"
    return str(status) if status else None


def _token_usage(usage: Any) -> TokenUsage | None:
    if usage is None:
        return None
    inputs = _first_present(usage, "prompt_tokens_details", "input_tokens_details")
    outputs = _first_present(
        usage, "completion_tokens_details", "output_tokens_details"
    )
    return TokenUsage(
        input_tokens=_token_count(
            _first_present(usage, "prompt_tokens", "input_tokens")
        ),
        output_tokens=_token_count(
            _first_present(usage, "completion_tokens", "output_tokens")
        ),
        cached_tokens=_token_count(_first_present(inputs, "cached_tokens")),
        reasoning_tokens=_token_count(_first_present(outputs, "reasoning_tokens")),
    )


def _transport_facts(
    reply: Any,
    headers: Mapping[str, str],
) -> dict[str, Any]:
    named = {str(name).lower(): str(value) for name, value in headers.items()}
    kept = {
        name: value
        for name, value in named.items()
        if name.startswith("x-ratelimit-") or name in _HEADERS
    }
    facts = {
        "response_id": _first_present(reply, "id"),
        "request_id": named.get("x-request-id") or _first_present(reply, "_request_id"),
        "created": _first_present(reply, "created", "created_at"),
        "headers": kept or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _tool_call_json(call: Any) -> dict[str, Any]:
    """A tool call by name and arguments: JSON where they are, else text as the model
    wrote it.
    """
    arguments = _first_present(call, "arguments", "input")
    with contextlib.suppress(TypeError, ValueError):
        arguments = json.loads(arguments)
    return {"name": _first_present(call, "name"), "arguments": arguments}


def _content_text(content: Any) -> str | None:
    """Text as it is, or the texts of a list of parts."""
    return (
        content if content is None or isinstance(content, str) else _join_texts(content)
    )


def _join_texts(parts: Any) -> str | None:
    texts = [_first_present(part, "text") for part in parts]
    return "".join(text for text in texts if isinstance(text, str)) or None


def _plain_json(value: Any) -> Any:
    """Models of the SDK as plain JSON."""
    if isinstance(value, (list, tuple)):
        return [_plain_json(item) for item in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _token_count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**63 else None


def _unreadable_reply(
    reply: Any,
    what: str,
) -> str:
    told = _first_present(_first_present(reply, "error"), "message")
    return f"the provider's reply has {what}" + (f": {told}" if told else "")


def _first_present(
    value: Any,
    *names: str,
) -> Any:
    """The first of these attributes or keys that is there and not null."""
    for name in names:
        found = (
            value.get(name)
            if isinstance(value, Mapping)
            else getattr(value, name, None)
        )
        if found is not None:
            return found
    return None
