"""What an exception of any-llm means, whichever SDK it comes of.

any-llm has one class of exceptions for all providers, with the SDK's own inside. Its
classes are partly guessed from the words of a message: here the HTTP status decides.
"""

from __future__ import annotations

from typing import Any

from themis_lib.adapters.faults import ReplyError, unreachable_at
from themis_lib.adapters.limits import Throttle
from themis_lib.errors import (
    FatalError,
    RowError,
    ThemisError,
    TransientError,
    describe,
)

#: SDKs whose exceptions are read as they are, by `faults.translated`.
_READ_AS_THEY_ARE = ("openai", "anthropic")
#: Nobody takes the connection: httpx, aiohttp and botocore. By name, since none of
#: these packages has to be there.
_NO_CONNECTION = {
    "ClientConnectorDNSError",
    "ClientConnectorError",
    "ConnectError",
    "ConnectTimeout",
    "EndpointConnectionError",
}
#: What any-llm itself refuses before anything is sent: a setting, or a row's request.
_REFUSALS: dict[str, type[ThemisError]] = {
    "MissingApiKeyError": FatalError,
    "UnsupportedParameterError": FatalError,
    "InvalidRequestError": RowError,
}
#: Google's word for a key that is none, in a 400.
_NO_KEY = ("API_KEY_INVALID", "API key not valid", "API key expired")


def fault_of(
    error: Any,
    *,
    provider: str,
    place: str,
    gate: Throttle,
) -> Exception:
    """Return an exception of any-llm as one that `faults.translated` knows.

    `place` says which address was asked. The gate learns from a refusal.
    """
    original = getattr(error, "original_exception", None) or error
    is_readable = type(original).__module__.partition(".")[0] in _READ_AS_THEY_ARE
    status = _status_of(error, original)
    if status is not None:
        headers = _headers_of(error, original)
        gate.observe(status, headers)
        return (
            original if is_readable else _reply_error(status, headers, original, place)
        )
    if original is error and type(error).__name__ in _REFUSALS:
        return _REFUSALS[type(error).__name__](f"any-llm refuses it: {error}").marked(
            is_free=True
        )
    if not _has_no_connection(original):
        gate.is_reached = True
    elif not gate.is_reached:
        return unreachable_at(original, provider, place)
    # A `TypeError`: the SDK's function has no such argument, as `server_forms` reads.
    if is_readable or isinstance(original, TypeError):
        return original  # type: ignore[no-any-return]
    return TransientError(f"no answer from {provider}: {describe(original)}")


def _has_no_connection(error: BaseException) -> bool:
    """Return whether an exception, or what it comes of, is a connection that failed."""
    found: BaseException | None = error
    while found is not None:
        if type(found).__name__ in _NO_CONNECTION:
            return True
        found = found.__cause__
    return False


def _reply_error(
    status: int,
    headers: dict[str, str],
    original: Any,
    place: str,
) -> ReplyError:
    said, code = _words_of(original)
    if status == 400 and any(word in said for word in _NO_KEY):
        code = "invalid_api_key"
    return ReplyError(
        status,
        said,
        code=code,
        headers=headers,
        place=place,
    )


def _status_of(
    error: Any,
    original: Any,
) -> int | None:
    """Return the HTTP status of a failure, `None` if there was no reply."""
    # any-llm's own, Google's, and botocore's.
    found = [getattr(error, "status_code", None), getattr(original, "code", None)]
    response = getattr(original, "response", None)
    if isinstance(response, dict):
        found.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    for status in found:
        # A reply with a good status that cannot be read is no refusal.
        if isinstance(status, int) and status >= 400:
            return status
    return None


def _headers_of(
    error: Any,
    original: Any,
) -> dict[str, str]:
    """Return when to ask again, as a header says it."""
    wait = getattr(error, "retry_after", None)
    if wait is None:
        wait = _google_wait(getattr(original, "details", None))
    return {} if wait is None else {"retry-after": str(wait)}


def _google_wait(details: Any) -> str | None:
    """Return the seconds of Google's `RetryInfo`, which stands in the body."""
    error = details.get("error", details) if isinstance(details, dict) else {}
    facts = error.get("details") if isinstance(error, dict) else None
    for fact in facts if isinstance(facts, list) else []:
        delay = fact.get("retryDelay") if isinstance(fact, dict) else None
        if isinstance(delay, str):
            return delay.removesuffix("s")
    return None


def _words_of(original: Any) -> tuple[str, str]:
    """Return what a provider says of a failure, and its code."""
    response = getattr(original, "response", None)
    if isinstance(response, dict):
        failed = response.get("Error", {})
        return str(failed.get("Message", original)), str(failed.get("Code", ""))
    said = getattr(original, "body", None) or getattr(original, "message", None)
    details = getattr(original, "details", None)
    if details:
        # The code of a refusal is only in Google's whole answer.
        said = details
    code = getattr(original, "code", None) or getattr(original, "status", None)
    return str(said or original), code if isinstance(code, str) else ""
