"""Failures that a provider reports under status 200.

They come in place of an answer, or after a part of one that is then no answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from themis_lib.adapters.faults import MESSAGE_CHARS, fault_of_code, fault_of_status
from themis_lib.adapters.reply_fields import read_field, type_of
from themis_lib.errors import ThemisError, TransientError

#: Finish reasons and statuses of an answer that was broken off, by no fault of its
#: request: of gateways and Mistral, vLLM and SGLang, DeepSeek, Zhipu, and Responses.
_BROKEN_OFF = frozenset(
    {
        "error",
        "server_error",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "timeout",
        "insufficient_system_resource",
        "network_error",
        "failed",
        "incomplete",
        "queued",
        "in_progress",
    }
)
_STATUS = re.compile(r"[1-5][0-9]{2}")
#: The form of a line of a stream (server-sent events), and of Anthropic's first one.
_STREAMED = "data:"
_EVENT = "event:"


def check_reply(reply: Any) -> None:
    """Raise what the failure that a reply reports means, if it reports one."""
    failed = _failure_in(reply)
    # vLLM's older form says it of the whole reply.
    if failed is None and read_field(reply, "object") == "error":
        failed = reply
    if failed is not None:
        raise reported_fault(reply if failed is True else failed)


def check_choice(choice: Any) -> None:
    """Raise what the failure that a choice reports means, if it reports one."""
    message = read_field(choice, "message", "delta")
    for part in (choice, message):
        failed = _failure_in(part)
        if failed is not None:
            raise reported_fault(part if failed is True else failed)
    check_finished(read_field(choice, "finish_reason"))


def check_finished(reason: Any) -> None:
    """Raise `TransientError` if an answer was broken off, as its reason or status says.

    It may have a text all the same: a part of an answer, which is none.
    """
    if str(reason).lower() in _BROKEN_OFF:
        raise TransientError(
            f"the provider broke the answer off; it says {str(reason)!r}"
        )


def reported_fault(failed: Any) -> ThemisError:
    """Return what an error object of a reply means, by its code."""
    code = read_field(failed, "code", "status", "status_code")
    kind = type_of(failed)
    said = _message_of(failed)
    if code is not None or kind is not None:
        said = f"{kind if code is None else code}: {said}"
    said = f"the provider's reply is a failure: {' '.join(said.split())}"
    said = said[:MESSAGE_CHARS]
    # Gateways pass on the status of the provider behind them, as a number or a text.
    if _STATUS.fullmatch(str(code)):
        return fault_of_status(int(code), said, code=str(kind or ""))
    return fault_of_code(str(code or ""), str(kind or ""), said)


def fault_of_unreadable(error: ValueError) -> ThemisError:
    """Return what a reply that is not JSON means, `error` being that of its decoder.

    It may be a stream that nobody asked for, with a failure in it.
    """
    text = getattr(error, "doc", "")
    for event in _events_in(text):
        failed = _failure_in(event)
        if failed is not None:
            return reported_fault(failed)
    if isinstance(text, str) and text.lstrip().startswith((_STREAMED, _EVENT)):
        return TransientError(
            "the provider's reply is a stream, which was not asked for"
        )
    return TransientError(f"the provider's reply is not JSON: {error}")


def _failure_in(part: Any) -> Any:
    """Return the error object of a reply, a choice or a message, `None` without one."""
    failed = read_field(part, "error")
    # Some servers always write the object, with nothing in it.
    if isinstance(failed, Mapping) and not any(failed.values()):
        return None
    return failed or None


def _message_of(failed: Any) -> str:
    """Return what an error object says, with the words of the provider behind."""
    if isinstance(failed, str):
        return failed
    said = str(read_field(failed, "message", "detail", "msg") or failed)
    # OpenRouter's own message is only that another provider failed.
    behind = read_field(read_field(failed, "metadata"), "raw")
    return f"{said}: {behind}" if behind else said


def _events_in(text: Any) -> Iterator[Any]:
    """Yield the JSON values of a text that is a stream."""
    for line in str(text).splitlines():
        if not line.startswith(_STREAMED):
            continue
        try:
            yield json.loads(line.removeprefix(_STREAMED))
        except (ValueError, RecursionError):
            continue
