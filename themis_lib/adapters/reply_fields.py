"""Fields of a provider's reply, read by attribute or by key.

Injected clients may return objects of the SDK, of their own, or JSON.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from themis_lib.adapters.json_objects import JsonObject, without_nulls
from themis_lib.core.models import TokenUsage

Headers: TypeAlias = Mapping[str, str]

#: The headers that are kept besides the rate limits; others may carry cookies or keys.
_KEPT_HEADERS = (
    "x-request-id",
    "request-id",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "x-should-retry",
)
_KEPT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
#: The types of a part that is text, and of one that is a thought.
_TEXT_TYPES = (None, "text", "output_text")
_THOUGHT_TYPES = ("thinking", "reasoning")
#: Parquet stores token counts as 64-bit integers.
_MOST_TOKENS = 2**63


def read_field(
    value: Any,
    *names: str,
) -> Any:
    """Return the first attribute or key of these names that is not `None`."""
    # Both first, as most of what is asked in each reply: other types take far longer.
    if value is None:
        return None
    is_mapping = isinstance(value, (dict, Mapping))
    for name in names:
        if is_mapping:
            found = value.get(name)
        else:
            found = getattr(value, name, None)
        if found is not None:
            return found
    return None


def read_items(
    value: Any,
    name: str,
) -> Any:
    """Return the items of a field, none if it is missing or null."""
    return read_field(value, name) or ()


def type_of(item: Any) -> Any:
    """Return the `type` of an item or a part."""
    return read_field(item, "type")


def is_list(value: Any) -> bool:
    """Return whether a value is a list, not a text."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def content_parts(content: Any) -> Sequence[Any]:
    """Return the parts of a message's content, which may be a text or a single part."""
    if content is None:
        return ()
    if isinstance(content, (str, Mapping)):
        return (content,)
    return tuple(content)


def join_texts(parts: Any) -> str | None:
    """Return the texts of a list of parts as one, `None` if there are none.

    Those of thoughts are not of the text.
    """
    texts = []
    for part in parts:
        text = part
        if not isinstance(part, str):
            text = read_field(part, "text") if type_of(part) in _TEXT_TYPES else None
        if isinstance(text, str):
            texts.append(text)
    # An empty text is an answer; no text is none.
    return "".join(texts) if texts else None


def join_thoughts(parts: Any) -> str | None:
    """Return the texts of a list's thinking parts as one, `None` if there are none."""
    thoughts = []
    for part in parts:
        if type_of(part) in _THOUGHT_TYPES:
            # Under the name of their kind, as a text or as parts (Mistral).
            said = read_field(part, "thinking", "reasoning", "text")
            thoughts.append(join_texts(content_parts(said)) or "")
    return "".join(thoughts) or None


def as_plain_json(value: Any) -> Any:
    """Return the SDK's models as plain JSON."""
    if isinstance(value, (list, tuple)):
        return [as_plain_json(item) for item in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value


def tool_call(call: Any) -> JsonObject:
    """Return a tool call by name and arguments, these as JSON where they are JSON."""
    arguments = read_field(call, "arguments", "input")
    # A model may write broken JSON: it is kept as the text it is. Line breaks inside
    # of texts are none of JSON's, but there is one way to read them.
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        arguments = json.loads(
            arguments,
            strict=False,
            parse_constant=_refuse_constant,
        )
    return {
        "name": read_field(call, "name"),
        "arguments": arguments,
    }


def response_finish_reason(
    reply: Any,
    *,
    has_calls: bool,
) -> str | None:
    """Return a response's status in the words of Chat Completions."""
    # One vocabulary in the stored rows, whichever API mode produced them.
    status = read_field(reply, "status")
    if status == "completed":
        return "tool_calls" if has_calls else "stop"
    if status != "incomplete":
        return str(status) if status else None
    details = read_field(reply, "incomplete_details")
    reason = read_field(details, "reason")
    if reason == "max_output_tokens":
        return "length"
    # Without a reason nobody decided that it ends here: it was broken off.
    return str(reason or status)


def token_usage(usage: Any) -> TokenUsage | None:
    """Return the tokens that a reply reports, `None` for a count that it lacks."""
    if usage is None:
        return None
    # Chat Completions' name first, then that of Responses.
    inputs = read_field(
        usage,
        "prompt_tokens_details",
        "input_tokens_details",
    )
    outputs = read_field(
        usage,
        "completion_tokens_details",
        "output_tokens_details",
    )
    return TokenUsage(
        input_tokens=read_count(usage, "prompt_tokens", "input_tokens"),
        output_tokens=read_count(usage, "completion_tokens", "output_tokens"),
        cached_tokens=read_count(inputs, "cached_tokens"),
        # The name at OpenRouter, and that of LiteLLM's proxy.
        cache_write_tokens=read_count(
            inputs,
            "cache_write_tokens",
            "cache_creation_tokens",
        ),
        reasoning_tokens=read_count(outputs, "reasoning_tokens"),
    )


def transport_facts(
    reply: Any,
    headers: Headers,
) -> JsonObject:
    """Return the facts of one exchange, which no later stage reads."""
    request_id = None
    kept = {}
    for given_name, value in headers.items():
        # Header names are case-insensitive, and proxies change their case.
        name = str(given_name).lower()
        # The second is Anthropic's.
        if name in ("x-request-id", "request-id"):
            request_id = str(value)
        if name.startswith(_KEPT_PREFIXES) or name in _KEPT_HEADERS:
            kept[name] = str(value)
    facts = {
        "response_id": read_field(reply, "id"),
        "request_id": request_id or read_field(reply, "_request_id"),
        "created": read_field(reply, "created", "created_at"),
        "headers": kept or None,
    }
    return without_nulls(facts)


def read_count(
    value: Any,
    *names: str,
) -> int | None:
    """Return a field if it is a number of tokens, else `None`."""
    # Counts are a courtesy of the provider: a wrong one must not cost the answer.
    found = read_field(value, *names)
    if isinstance(found, str) and found.isdecimal() and len(found) < 20:
        found = int(found)
    # Languages without integers write whole numbers as 3.0.
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return found if 0 <= found < _MOST_TOKENS else None


def _refuse_constant(name: str) -> None:
    """Raise `ValueError`: NaN and infinity are no JSON, and could not be kept."""
    raise ValueError(f"{name} is no JSON")
