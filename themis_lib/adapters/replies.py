"""A provider's reply as a result: Chat Completions and Responses.

Fields are read by attribute or key, so that injected clients may return either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from themis_lib.adapters.faults import MESSAGE_CHARS
from themis_lib.adapters.json_objects import JsonObject, without_nulls
from themis_lib.adapters.raw_reply import raw_response
from themis_lib.adapters.reply_faults import check_choice, check_finished, check_reply
from themis_lib.adapters.reply_fields import (
    Headers,
    as_plain_json,
    content_parts,
    is_list,
    join_texts,
    join_thoughts,
    read_field,
    read_items,
    response_finish_reason,
    token_usage,
    tool_call,
    transport_facts,
    type_of,
)
from themis_lib.core.models import GenerationResult, Message, TokenUsage, TraceStep
from themis_lib.errors import TransientError
from themis_lib.stages.endings import Ending, ending_of

_TOOL_CALLS = ("function_call", "custom_tool_call")


@dataclass(frozen=True)
class Answer:
    """What every API says of one answer, under one name each."""

    text: str | None
    refusal: str | None
    calls: list[JsonObject]
    finish_reason: str | None
    reasoning: str | None
    logprobs: Any = None
    #: Why this is no answer to score, where no other field says it.
    error: str | None = None
    #: Further facts that the row keeps.
    artifacts: JsonObject = field(default_factory=dict)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was said, not even why the answer ends."""
        said = (self.text, self.refusal, self.reasoning, self.finish_reason)
        return not self.calls and all(part is None for part in said)


def chat_result(
    reply: Any,
    headers: Headers,
) -> GenerationResult:
    """Return the result of a chat completion.

    Raises `TransientError` if the reply has no choice, or was broken off; what a
    failure means that it reports is in `reply_faults`.
    """
    check_reply(reply)
    choices = read_field(reply, "choices")
    if not is_list(choices) or not choices:
        raise TransientError(describe_unreadable(reply, "no choices"))
    choice = choices[0]
    check_choice(choice)
    message = read_field(choice, "message")
    if not isinstance(message, Mapping) and not hasattr(message, "content"):
        raise TransientError(describe_unreadable(reply, "a choice without a message"))
    # Some servers answer in parts, as requests may.
    parts = content_parts(read_field(message, "content"))
    logprobs = read_field(choice, "logprobs")
    # DeepSeek's and vLLM's name, and that of OpenRouter.
    reasoning = read_field(message, "reasoning_content", "reasoning")
    answer = Answer(
        text=join_texts(parts),
        refusal=read_field(message, "refusal") or _refusal_in(parts),
        calls=_chat_calls(message),
        finish_reason=read_field(choice, "finish_reason"),
        reasoning=reasoning or join_thoughts(parts),
        logprobs=as_plain_json(read_field(logprobs, "content")) if logprobs else None,
    )
    usage = token_usage(read_field(reply, "usage"))
    return result_of(answer, reply, headers, usage=usage)


def response_result(
    reply: Any,
    headers: Headers,
) -> GenerationResult:
    """Return the result of a response.

    Raises what a failure that it reports means, as `reply_faults` says.
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
    parts = list(_parts_of(items, "message", "content"))
    logprobs: list[Any] = []
    for part in parts:
        logprobs.extend(read_items(part, "logprobs"))
    answer = Answer(
        text=_response_text(reply, parts),
        refusal=_refusal_in(parts),
        calls=calls,
        finish_reason=response_finish_reason(reply, has_calls=bool(calls)),
        reasoning="\n".join(thoughts) or None,
        logprobs=as_plain_json(logprobs) or None,
    )
    usage = token_usage(read_field(reply, "usage"))
    return result_of(answer, reply, headers, usage=usage)


def _check_items(reply: Any) -> Sequence[Any]:
    """Return the items of a response, or raise what its failure means."""
    check_reply(reply)
    check_finished(response_finish_reason(reply, has_calls=False))
    items: Any = read_items(reply, "output")
    # Injected clients may answer with `output_text` alone.
    is_empty = not items and read_field(reply, "output_text") is None
    if not is_list(items) or is_empty:
        raise TransientError(describe_unreadable(reply, "no output"))
    return items  # type: ignore[no-any-return]


def _response_text(reply: Any, parts: Sequence[Any]) -> str | None:
    text = join_texts(parts)
    if text is None:
        # The SDK's own sum of the texts is empty where there is none.
        text = read_field(reply, "output_text")
        if not text and read_items(reply, "output"):
            return None
    return text


def _chat_calls(message: Any) -> list[JsonObject]:
    """Return the calls of a message; older servers have one, under a name of its own."""
    calls = []
    for call in read_items(message, "tool_calls"):
        # The call itself is under the name of its kind.
        calls.append(tool_call(read_field(call, "function", "custom")))
    only_call = read_field(message, "function_call")
    if only_call and not calls:
        calls.append(tool_call(only_call))
    return calls


def _refusal_in(parts: Iterable[Any]) -> str | None:
    """Return the refusals among the parts of a message as one text."""
    refusals = []
    for part in parts:
        if type_of(part) == "refusal":
            refusals.append(str(read_field(part, "refusal")))
    return " ".join(refusals) or None


def _parts_of(
    items: Sequence[Any],
    kind: str,
    name: str,
) -> Iterator[Any]:
    """Yield the parts, under a name, of all items of one type."""
    for item in items:
        if type_of(item) == kind:
            yield from read_items(item, name)


def result_of(
    answer: Answer,
    reply: Any,
    headers: Headers,
    *,
    usage: TokenUsage | None,
) -> GenerationResult:
    """Return an answer, with the facts that every API reports, as a result.

    Raises `TransientError` if nothing was said and nothing says why.
    """
    error = _error_of(answer)
    if answer.is_nothing:
        raise TransientError(f"{error}: the provider may have lost the model")
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
    artifacts = {
        "model": read_field(reply, "model"),
        "system_fingerprint": read_field(reply, "system_fingerprint"),
        "refusal": answer.refusal,
        "reasoning": answer.reasoning,
        "logprobs": answer.logprobs,
        **answer.artifacts,
        # OpenRouter's: the dollars that it charged for this request.
        "cost_usd": read_field(read_field(reply, "usage"), "cost"),
    }
    return GenerationResult(
        final_output=_output_of(answer),
        finish_reason=answer.finish_reason,
        trace=steps,
        conversation=[said],
        artifacts=without_nulls(artifacts),
        transport={
            **transport_facts(reply, headers),
            **without_nulls({"raw_response": raw_response(reply)}),
        },
        usage=usage,
        error=error,
    )


def _output_of(answer: Answer) -> Any:
    """Return the text of an answer, or its calls with the text beside them."""
    if not answer.calls:
        return answer.text
    output: JsonObject = {"tool_calls": answer.calls}
    if answer.text and answer.text.strip():
        output["text"] = answer.text
    return output


def _error_of(answer: Answer) -> str | None:
    """Return why there is no answer to score, `None` if there is one."""
    if answer.refusal:
        return f"the model refused: {answer.refusal}"
    if answer.error:
        return answer.error
    ending = ending_of(answer.finish_reason)
    if ending is Ending.FILTERED:
        return "the provider's content filter stopped the answer"
    if answer.calls or (answer.text and answer.text.strip()):
        return None
    if ending is Ending.CUT:
        while_thinking = " while the model was thinking" if answer.reasoning else ""
        return (
            f"the reply has no text: it reached its greatest length{while_thinking} "
            f"(finish_reason {answer.finish_reason!r}); raise max_tokens"
        )
    if answer.reasoning:
        return "the reply has no text, only the model's thoughts (reasoning)"
    # A model may say nothing, but not by a null.
    if answer.text is None:
        return f"the reply has no text (finish_reason {answer.finish_reason!r})"
    return None


def describe_unreadable(
    reply: Any,
    what: str,
) -> str:
    """Return what is wrong with a reply, with what it says itself."""
    said = f"the provider's reply has {what}"
    # Servers of other kinds say what is wrong under names of their own.
    told = read_field(reply, "message", "detail", "errors")
    if told:
        said += f": {' '.join(str(told).split())[:MESSAGE_CHARS]}"
    return said
