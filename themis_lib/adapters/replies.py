"""A provider's reply as a result: Chat Completions and Responses.

Fields are read by attribute or key, so that injected clients may return either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.adapters.json_objects import JsonObject, without_nulls
from themis_lib.adapters.reply_fields import (
    Headers,
    as_plain_json,
    is_list,
    join_texts,
    read_field,
    read_items,
    response_finish_reason,
    token_usage,
    tool_call,
    transport_facts,
    type_of,
)
from themis_lib.core.models import GenerationResult, Message, TraceStep
from themis_lib.errors import RowError, TransientError

#: Codes of a failed response for which another try may succeed.
_TRANSIENT_CODES = (
    "server_error",
    "rate_limit_exceeded",
    "vector_store_timeout",
)
_TOOL_CALLS = ("function_call", "custom_tool_call")


@dataclass(frozen=True)
class _Answer:
    """What both API modes say of one answer, under one name each."""

    text: str | None
    refusal: str | None
    calls: list[JsonObject]
    finish_reason: str | None
    reasoning: str | None
    logprobs: Any


def chat_result(
    reply: Any,
    headers: Headers,
) -> GenerationResult:
    """Return the result of a chat completion.

    Raises `TransientError` if the reply has no choice.
    """
    choices = read_field(reply, "choices")
    if not is_list(choices) or not choices:
        raise TransientError(_describe_unreadable(reply, "no choices"))
    choice = choices[0]
    message = read_field(choice, "message")
    if not isinstance(message, Mapping) and not hasattr(message, "content"):
        raise TransientError(_describe_unreadable(reply, "a choice without a message"))
    calls = []
    for call in read_items(message, "tool_calls"):
        # The call itself is under the name of its kind.
        calls.append(tool_call(read_field(call, "function", "custom")))
    # Some servers answer in parts, as requests may.
    text = read_field(message, "content")
    if text is not None and not isinstance(text, str):
        text = join_texts(text)
    logprobs = read_field(choice, "logprobs")
    answer = _Answer(
        text=text,
        refusal=read_field(message, "refusal"),
        calls=calls,
        finish_reason=read_field(choice, "finish_reason"),
        # DeepSeek's and vLLM's name, and that of OpenRouter.
        reasoning=read_field(message, "reasoning_content", "reasoning"),
        logprobs=as_plain_json(read_field(logprobs, "content")) if logprobs else None,
    )
    return _result_of(answer, reply, headers)


def response_result(
    reply: Any,
    headers: Headers,
) -> GenerationResult:
    """Return the result of a response.

    Raises `TransientError` if the response failed and another try may succeed,
    `RowError` if it would fail again.
    """
    items = _check_items(reply)
    calls = []
    for item in items:
        if type_of(item) in _TOOL_CALLS:
            calls.append(tool_call(item))
    # Of the reasoning only a summary: the provider keeps the rest.
    thoughts = []
    for part in _parts_of(items, "reasoning", "summary"):
        thoughts.append(str(read_field(part, "text")))
    refusals: list[str] = []
    logprobs: list[Any] = []
    parts = list(_parts_of(items, "message", "content"))
    for part in parts:
        logprobs.extend(read_items(part, "logprobs"))
        if type_of(part) == "refusal":
            refusals.append(str(read_field(part, "refusal")))
    answer = _Answer(
        text=read_field(reply, "output_text") or join_texts(parts),
        refusal=" ".join(refusals) or None,
        calls=calls,
        finish_reason=response_finish_reason(reply, has_calls=bool(calls)),
        reasoning="\n".join(thoughts) or None,
        logprobs=as_plain_json(logprobs) or None,
    )
    return _result_of(answer, reply, headers)


def _check_items(reply: Any) -> Sequence[Any]:
    """Return the items of a response, or raise what its failure means."""
    failed = read_field(reply, "error")
    if failed:
        code = read_field(failed, "code")
        said = f"{code}: {read_field(failed, 'message')}"
        if code in _TRANSIENT_CODES:
            raise TransientError(said)
        raise RowError(said)
    items: Any = read_items(reply, "output")
    # Injected clients may answer with `output_text` alone.
    is_empty = not items and read_field(reply, "output_text") is None
    if not is_list(items) or is_empty:
        raise TransientError(_describe_unreadable(reply, "no output"))
    return items  # type: ignore[no-any-return]


def _parts_of(
    items: Sequence[Any],
    kind: str,
    name: str,
) -> Iterator[Any]:
    """Yield the parts, under a name, of all items of one type."""
    for item in items:
        if type_of(item) == kind:
            yield from read_items(item, name)


def _result_of(
    answer: _Answer,
    reply: Any,
    headers: Headers,
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
        "model": read_field(reply, "model"),
        "system_fingerprint": read_field(reply, "system_fingerprint"),
        "refusal": answer.refusal,
        "reasoning": answer.reasoning,
        "logprobs": answer.logprobs,
    }
    return GenerationResult(
        final_output=output,
        finish_reason=answer.finish_reason,
        trace=steps,
        conversation=[said],
        artifacts=without_nulls(artifacts),
        transport=transport_facts(reply, headers),
        usage=token_usage(read_field(reply, "usage")),
        error=error,
    )


def _describe_unreadable(
    reply: Any,
    what: str,
) -> str:
    said = f"the provider's reply has {what}"
    # Gateways report failures of the provider behind them with status 200.
    told = read_field(read_field(reply, "error"), "message")
    if told:
        said += f": {told}"
    return said
