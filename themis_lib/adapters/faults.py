"""What a provider's failure means: worth another try, a fact about the row, or the end
of the run.
"""

from __future__ import annotations

from typing import Any

from themis_lib.errors import (
    FatalError,
    RowError,
    ThemisError,
    TransientError,
    describe,
)

#: 408 timeout, 409 conflict, 425 too early, 429 too many requests; and every 5xx.
_TRANSIENT_STATUSES = frozenset(
    {
        408,
        409,
        425,
        429,
    }
)
#: No account, no right, no such model or path: what every other request would be told
#: as well.
_FATAL_STATUSES = frozenset(
    {
        401,
        402,
        403,
        404,
        405,
    }
)
#: Codes of a 400 or 429 that speak of the settings or the account, not of this row.
_FATAL_CODES = frozenset(
    {
        "billing_hard_limit_reached",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_json_schema",
        "invalid_model",
        "model_not_found",
        "unknown_parameter",
        "unsupported_parameter",
        "unsupported_value",
    }
)
#: Words of a 403 that speak of this row's text: a provider's moderation.
_MODERATION = ("moderation", "flagged", "content_filter", "content policy")
_MESSAGE_CHARS = 2000


def translated(error: Exception) -> Exception:
    """An exception of the OpenAI SDK as one of this library; any other exception as it
    is.

    Timeouts, lost connections, 408, 409, 429, 5xx and replies that cannot be read are a
    `TransientError`. A request that is refused for what it says is a `RowError`; a
    refused credential, an unknown model or a setting that the provider does not know a
    `FatalError`.
    """
    if isinstance(error, ThemisError):
        return error
    if type(error).__module__.partition(".")[0] != "openai":
        return error
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and hasattr(error, "response"):
        return _from_status(status, error).marked(is_free=True)
    if type(error).__name__ in (
        "APIConnectionError",
        "APITimeoutError",
        "APIResponseValidationError",
    ):
        return TransientError(_lost_connection_message(error))
    return error


def is_final(response: Any) -> bool:
    """Whether a 429 speaks of the account, so that trying again is of no use."""
    return response.status_code == 429 and any(
        code in response.text for code in _FATAL_CODES
    )


def _from_status(
    status: int,
    error: Any,
) -> ThemisError:
    said = f"HTTP {status}: {_error_message(error)}"
    code = str(getattr(error, "code", None) or getattr(error, "type", None) or "")
    is_moderated = status == 403 and any(word in said.lower() for word in _MODERATION)
    if code in _FATAL_CODES or (status in _FATAL_STATUSES and not is_moderated):
        return FatalError(
            f"{_ADVICE.get(status, 'the provider refuses every request like this one')}: {said}"
        )
    if status in _TRANSIENT_STATUSES or status >= 500 or status < 400:
        return TransientError(said)
    return RowError(said)


_ADVICE = {
    401: "the provider refuses the credential; check the API key",
    402: "the provider wants to be paid first",
    403: "the provider forbids this; check the API key's rights and the model's name",
    404: "the provider knows no such model or address; check `model` and `base_url`",
    405: "the provider knows no such address; check `base_url`",
}


def _error_message(error: Any) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        told = body.get("message") or body.get("error") or body.get("detail")
        if told:
            return " ".join(str(told).split())[:_MESSAGE_CHARS]
    return " ".join(str(getattr(error, "message", error)).split())[:_MESSAGE_CHARS]


def _lost_connection_message(error: Exception) -> str:
    url = getattr(getattr(error, "request", None), "url", None)
    host = (
        f" {url.host}:{url.port}"
        if url is not None and url.port
        else f" {url.host}"
        if url is not None
        else ""
    )
    cause = f" ({describe(error.__cause__)})" if error.__cause__ else ""
    return f"no answer from the provider{host}: {' '.join(str(error).split())}{cause}"
