"""A provider's reply as a result: Chat Completions and Responses.

Fields are read by attribute or key, so that injected clients may return either.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from themis_lib.core.models import GenerationResult, Message, TokenUsage, TraceStep
from themis_lib.errors import RowError, TransientError

_Headers: TypeAlias = Mapping[str, str]

#: The headers that are kept besides the rate limits; others may carry cookies or keys.
_KEPT_HEADERS = (
    "x-request-id",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "x-should-retry",
)
#: Codes of a failed response for which another try may succeed.
_TRANSIENT_CODES = ("server_error", "rate_limit_exceeded", "vector_store_timeout")
_TOOL_CALLS = ("function_call", "custom_tool_call")
#: Parquet stores token counts as 64-bit integers.
_MOST_TOKENS = 2**63


@dataclass(frozen=True)
class _Answer:
    """What both API modes say of one answer, under one name each."""

    text: str | None
    refusal: str | None
    calls: list[dict[str, Any]]
    finish_reason: str | None
    reasoning: str | None
    logprobs: Any


def chat_result(
    reply: Any,
    headers: _Headers,
) -> GenerationResult:
    """Return the result of a chat completion.

    Raises `TransientError` if the reply has no choice.
    """
    choices = _read_field(reply, "choices")
    if not _is_list(choices) or not choices:
        raise TransientError(_describe_unreadable(reply, "no choices"))
    choice = choices[0]
    message = _read_field(choice, "message")
    if not isinstance(message, Mapping) and not hasattr(message, "content"):
        raise TransientError(_describe_unreadable(reply, "a choice without a message"))
    calls = []
    for call in _read_items(message, "tool_calls"):
        # The call itself is under the name of its kind.
        calls.append(_tool_call(_read_field(call, "function", "custom")))
    # Some servers answer in parts, as requests may.
    text = _read_field(message, "content")
    if text is not None and not isinstance(text, str):
        text = _join_texts(text)
    logprobs = _read_field(choice, "logprobs")
    answer = _Answer(
        text=text,
        refusal=_read_field(message, "refusal"),
        calls=calls,
        finish_reason=_read_field(choice, "finish_reason"),
        # DeepSeek's and vLLM's name, and that of OpenRouter.
        reasoning=_read_field(message, "reasoning_content", "reasoning"),
        logprobs=_as_plain_json(_read_field(logprobs, "content")) if logprobs else None,
    )
    return _result_of(answer, reply, headers)


def response_result(
    reply: Any,
    headers: _Headers,
) -> GenerationResult:
    """Return the result of a response.

    Raises `TransientError` if the response failed and another try may succeed,
    `RowError` if it would fail again.
    """
    _raise_failure(reply)
    items = _read_field(reply, "output") or ()
    output_text = _read_field(reply, "output_text")
    # Injected clients may answer with `output_text` alone.
    if not _is_list(items) or (not items and output_text is None):
        raise TransientError(_describe_unreadable(reply, "no output"))
    calls = [_tool_call(item) for item in items if _type_of(item) in _TOOL_CALLS]
    parts = list(_parts_of(items, "message", "content"))
    refusals: list[str] = []
    logprobs: list[Any] = []
    for part in parts:
        logprobs.extend(_read_items(part, "logprobs"))
        if _type_of(part) == "refusal":
            refusals.append(str(_read_field(part, "refusal")))
    thoughts = []
    for part in _parts_of(items, "reasoning", "summary"):
        thoughts.append(str(_read_field(part, "text")))
    answer = _Answer(
        text=output_text or _join_texts(parts),
        refusal=" ".join(refusals) or None,
        calls=calls,
        finish_reason=_finish_reason(reply, calls),
        reasoning="\n".join(thoughts) or None,
        logprobs=_as_plain_json(logprobs) or None,
    )
    return _result_of(answer, reply, headers)


def _raise_failure(reply: Any) -> None:
    """Raise what a response that failed means."""
    failed = _read_field(reply, "error")
    if not failed:
        return
    code = _read_field(failed, "code")
    said = f"{code}: {_read_field(failed, 'message')}"
    if code in _TRANSIENT_CODES:
        raise TransientError(said)
    raise RowError(said)


def _parts_of(
    items: Sequence[Any],
    kind: str,
    name: str,
) -> Iterator[Any]:
    """Yield the parts, under a name, of all items of one type."""
    for item in items:
        if _type_of(item) == kind:
            yield from _read_items(item, name)


def _finish_reason(
    reply: Any,
    calls: Sequence[Any],
) -> str | None:
    """Return a response's status in the words of Chat Completions."""
    # One vocabulary in the stored rows, whichever API mode produced them.
    status = _read_field(reply, "status")
    if status == "incomplete":
        reason = _read_field(_read_field(reply, "incomplete_details"), "reason")
        return "length" if reason == "max_output_tokens" else reason
    if status == "completed":
        return "tool_calls" if calls else "stop"
    return str(status) if status else None


def _result_of(
    answer: _Answer,
    reply: Any,
    headers: _Headers,
) -> GenerationResult:
    """Return an answer, with the facts that both API modes report, as a result."""
    steps = [
        TraceStep(
            name="generation",
            event="generation",
            output=answer.text,
            metadata={"finish_reason": answer.finish_reason},
        )
    ]
    for call in answer.calls:
        step = TraceStep(
            name=str(call["name"]),
            event="tool_call",
            input=call["arguments"],
        )
        steps.append(step)
    tool_calls = [{"function": call} for call in answer.calls]
    said = Message(
        role="assistant",
        content=answer.text,
        tool_calls=tool_calls or None,
    )
    # Calls are the output only of an answer without text: a parser reads one of both.
    output: Any = answer.text
    if answer.calls and not answer.text:
        output = {"tool_calls": answer.calls}
    error = None
    if answer.refusal:
        error = f"the model refused: {answer.refusal}"
    elif answer.finish_reason == "content_filter":
        error = "the provider's content filter stopped the answer"
    artifacts = {
        "model": _read_field(reply, "model"),
        "system_fingerprint": _read_field(reply, "system_fingerprint"),
        "refusal": answer.refusal,
        "reasoning": answer.reasoning,
        "logprobs": answer.logprobs,
    }
    return GenerationResult(
        final_output=output,
        finish_reason=answer.finish_reason,
        trace=steps,
        conversation=[said],
        artifacts=_drop_missing(artifacts),
        transport=_transport_facts(reply, headers),
        usage=_token_usage(_read_field(reply, "usage")),
        error=error,
    )


def _token_usage(usage: Any) -> TokenUsage | None:
    if usage is None:
        return None
    # Chat Completions' name first, then that of Responses.
    inputs = _read_field(usage, "prompt_tokens_details", "input_tokens_details")
    outputs = _read_field(usage, "completion_tokens_details", "output_tokens_details")
    return TokenUsage(
        input_tokens=_read_count(usage, "prompt_tokens", "input_tokens"),
        output_tokens=_read_count(usage, "completion_tokens", "output_tokens"),
        cached_tokens=_read_count(inputs, "cached_tokens"),
        reasoning_tokens=_read_count(outputs, "reasoning_tokens"),
    )


def _transport_facts(
    reply: Any,
    headers: _Headers,
) -> dict[str, Any]:
    """Return the facts of one exchange, which no later stage reads."""
    request_id = None
    kept = {}
    for given_name, value in headers.items():
        # Header names are case-insensitive, and proxies change their case.
        name = str(given_name).lower()
        if name == "x-request-id":
            request_id = str(value)
        if name.startswith("x-ratelimit-") or name in _KEPT_HEADERS:
            kept[name] = str(value)
    facts = {
        "response_id": _read_field(reply, "id"),
        "request_id": request_id or _read_field(reply, "_request_id"),
        "created": _read_field(reply, "created", "created_at"),
        "headers": kept or None,
    }
    return _drop_missing(facts)


def _tool_call(call: Any) -> dict[str, Any]:
    """Return a tool call by name and arguments, these as JSON where they are JSON."""
    arguments = _read_field(call, "arguments", "input")
    # A model may write broken JSON: it is kept as the text it is.
    with contextlib.suppress(TypeError, ValueError):
        arguments = json.loads(arguments)
    return {"name": _read_field(call, "name"), "arguments": arguments}


def _join_texts(parts: Any) -> str | None:
    texts = []
    for part in parts:
        text = _read_field(part, "text")
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts) or None


def _as_plain_json(value: Any) -> Any:
    """Return the SDK's models as plain JSON."""
    if isinstance(value, (list, tuple)):
        return [_as_plain_json(item) for item in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value


def _describe_unreadable(
    reply: Any,
    what: str,
) -> str:
    said = f"the provider's reply has {what}"
    # Gateways report failures of the provider behind them with status 200.
    told = _read_field(_read_field(reply, "error"), "message")
    if told:
        said += f": {told}"
    return said


def _drop_missing(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact is not None}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _read_count(
    value: Any,
    *names: str,
) -> int | None:
    """Return a field if it is a number of tokens, else `None`."""
    # Counts are a courtesy of the provider: a wrong one must not cost the answer.
    found = _read_field(value, *names)
    if isinstance(found, int) and 0 <= found < _MOST_TOKENS:
        return found
    return None


def _read_items(
    value: Any,
    name: str,
) -> Any:
    """Return the items of a field, none if it is missing or null."""
    return _read_field(value, name) or ()


def _type_of(item: Any) -> Any:
    return _read_field(item, "type")


def _read_field(
    value: Any,
    *names: str,
) -> Any:
    """Return the first attribute or key of these names that is not `None`."""
    for name in names:
        if isinstance(value, Mapping):
            found = value.get(name)
        else:
            found = getattr(value, name, None)
        if found is not None:
            return found
    return None
