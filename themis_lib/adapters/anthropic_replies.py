"""A reply of Anthropic's Messages API as a result.

Fields are read by attribute or key, so that injected clients may return either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from themis_lib.adapters.json_objects import JsonObject, without_nulls
from themis_lib.adapters.replies import Answer, describe_unreadable, result_of
from themis_lib.adapters.reply_faults import check_reply
from themis_lib.adapters.reply_fields import (
    Headers,
    as_plain_json,
    is_list,
    join_texts,
    read_count,
    read_field,
    read_items,
    tool_call,
    type_of,
)
from themis_lib.core.models import GenerationResult, TokenUsage
from themis_lib.errors import TransientError

#: Reasons to stop in the words of Chat Completions; all others stay as they are.
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
}
_THOUGHTS = ("thinking", "redacted_thinking")
#: Why an answer that ends so cannot be scored.
_ERRORS = {
    "pause_turn": (
        "the provider paused the answer while its own tools were at work (pause_turn): "
        "it is not finished"
    ),
}
_NO_ROOM = (
    "the reply has no text: prompt and answer fill the model's context window "
    "(model_context_window_exceeded)"
)


def message_result(
    reply: Any,
    headers: Headers,
) -> GenerationResult:
    """Return the result of a message.

    Raises `TransientError` if the reply has no content; what a failure means that it
    reports is in `reply_faults`.
    """
    check_reply(reply)
    blocks = read_field(reply, "content")
    if not is_list(blocks):
        raise TransientError(describe_unreadable(reply, "no content"))
    calls = [tool_call(block) for block in blocks if type_of(block) == "tool_use"]
    thoughts = [block for block in blocks if type_of(block) in _THOUGHTS]
    stop_reason = read_field(reply, "stop_reason")
    text = join_texts(blocks)
    error = _ERRORS.get(stop_reason)
    has_answer = bool(calls or (text and text.strip()))
    if stop_reason == "model_context_window_exceeded" and not has_answer:
        error = _NO_ROOM
    answer = Answer(
        text=text,
        refusal=_refusal_of(reply) if stop_reason == "refusal" else None,
        calls=calls,
        finish_reason=_FINISH_REASONS.get(stop_reason, stop_reason),
        reasoning=_join_thoughts(thoughts),
        error=error,
        artifacts=_artifacts_of(reply, blocks, thoughts),
    )
    usage = message_usage(read_field(reply, "usage"))
    return result_of(answer, reply, headers, usage=usage)


def message_usage(usage: Any) -> TokenUsage | None:
    """Return the tokens that a message reports, `None` for a count that it lacks.

    This API counts tokens that the cache gave or kept apart from its other input
    tokens; here they are among these, as everywhere.

    >>> message_usage({"input_tokens": 1, "cache_read_input_tokens": 4}).input_tokens
    5
    """
    if usage is None:
        return None
    fresh = read_count(usage, "input_tokens")
    read = read_count(usage, "cache_read_input_tokens")
    written = read_count(usage, "cache_creation_input_tokens")
    inputs = None
    if fresh is not None:
        inputs = fresh + (read or 0) + (written or 0)
    details = read_field(usage, "output_tokens_details")
    return TokenUsage(
        input_tokens=inputs,
        output_tokens=read_count(usage, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=read_count(details, "thinking_tokens"),
    )


def _refusal_of(reply: Any) -> str:
    """Return what a reply says of its refusal."""
    details = read_field(reply, "stop_details")
    category = read_field(details, "category")
    said = read_field(details, "explanation")
    if said and category:
        return f"{said} (category {category!r})"
    return str(said or category or "it gave no reason")


def _join_thoughts(thoughts: Sequence[Any]) -> str | None:
    """Return the texts of thoughts as one; those that the provider hides have none."""
    texts = []
    for block in thoughts:
        said = read_field(block, "thinking")
        if said:
            texts.append(str(said))
    return "\n".join(texts) or None


def _artifacts_of(
    reply: Any,
    blocks: Sequence[Any],
    thoughts: Sequence[Any],
) -> JsonObject:
    """Return what a row keeps of a message beside its text, calls and reasoning."""
    cited = []
    for block in blocks:
        citations = as_plain_json(list(read_items(block, "citations")))
        if citations:
            cited.append({"text": read_field(block, "text"), "citations": citations})
    artifacts = {
        "stop_sequence": read_field(reply, "stop_sequence"),
        # As they came, with signatures: a conversation that goes on has to show them.
        "thinking_blocks": as_plain_json(list(thoughts)) or None,
        "citations": cited or None,
    }
    return without_nulls(artifacts)
