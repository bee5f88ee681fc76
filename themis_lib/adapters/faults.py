"""What a provider's failure means: try again, record it for the row, or stop the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

from themis_lib.adapters.refusals import is_misfit, plain_text, refuses_every_try
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
#: No account, no permission, no such model or path: every other request would fail too.
_FATAL_STATUSES = frozenset(
    {
        401,
        402,
        403,
        404,
        405,
    }
)
#: Codes of a 400 or 429 that concern the settings or the account, not this row.
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
#: The statuses of Anthropic's types of failures, for one that comes without a status.
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
#: How Anthropic says, with status 400, that an account is empty.
_NO_CREDIT = re.compile(r"credit balance is too low", re.IGNORECASE)
#: Words in the codes of a failure that concerns this row's request alone.
_FACT_WORDS = re.compile(
    r"invalid|unsupported|bad_?request|unprocessable|image_|empty_image"
    r"|policy|filter|moderation|flagged|safety|context_length|too_l(ong|arge)",
    re.IGNORECASE,
)
#: Words of a 403 that concern this row's text: a provider's moderation.
_MODERATION = (
    "moderation",
    "flagged",
    "content_filter",
    "content policy",
)
#: The SDKs whose exceptions are translated.
_SDKS = ("openai", "anthropic")
#: Classes of an SDK for a request without a readable reply. By name, since importing
#: the SDK to compare classes would slow every failure of another client.
_LOST = frozenset(
    {
        "APIConnectionError",
        "APITimeoutError",
        "APIResponseValidationError",
    }
)
#: Advice by HTTP status, put before the provider's own words.
_ADVICE = {
    401: "the provider refuses the credential; check the API key",
    402: "the provider wants to be paid first",
    403: "the provider forbids this; check the API key's rights and the model's name",
    404: "the provider knows no such model or address; check `model` and `base_url`",
    405: "the provider knows no such address; check `base_url`",
}
#: The longest message of a provider that is kept.
MESSAGE_CHARS = 2000


class ReplyError(Exception):
    """A reply with an HTTP status that is a failure, whichever SDK told it.

    It has the attributes of the OpenAI SDK's own exception, which are read here.
    """

    def __init__(
        self,
        status_code: int,
        message: str,
        *,
        code: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
        place: str = "",
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.message = message
        self.code = code
        self.response = SimpleNamespace(
            text=message,
            headers=headers,
            extensions={"place": place},
        )


def translated(error: Exception) -> Exception:
    """Return a provider SDK's exception as one of this library, any other unchanged.

    A `ReplyError` is translated too.

    Timeouts, lost connections, 408, 409, 425, 429, 5xx and unreadable replies become a
    `TransientError`. A request that is refused for its text becomes a `RowError`; a
    refused credential, an unknown model or an unknown setting a `FatalError`.
    """
    if isinstance(error, ThemisError):
        return error
    if isinstance(error, ReplyError):
        return _fault_of_reply(error.status_code, error).marked(is_free=True)
    if type(error).__module__.partition(".")[0] not in _SDKS:
        return error
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and hasattr(error, "response"):
        # A provider charges nothing for a request that it refuses.
        return _fault_of_reply(status, error).marked(is_free=True)
    if type(error).__name__ not in _LOST:
        return error
    said = "no answer from the provider"
    # Never the whole address, whose path or query may contain a credential.
    url = getattr(getattr(error, "request", None), "url", None)
    if url is not None:
        said += f" {url.host}"
        if url.port:
            said += f":{url.port}"
    said += f": {' '.join(str(error).split())}"
    if error.__cause__:
        # The SDK only says "Connection error."; its cause says what happened.
        said += f" ({describe(error.__cause__)})"
    return TransientError(said)


def unreachable(
    error: Exception,
    place: str,
    url: Any,
) -> FatalError:
    """Return the end of a run whose provider has never been reached.

    `place` says which address that is, and where it is set.
    """
    port = f":{url.port}" if url.port else ""
    return unreachable_at(error, f"the provider {url.host}{port}", place)


def unreachable_at(
    error: BaseException,
    provider: str,
    place: str,
) -> FatalError:
    """Return the end of a run whose provider has never been reached, by its name."""
    return FatalError(
        f"no answer from {provider}: {_reason_of(error)}; check that it is up, and "
        f"{place}"
    ).marked(is_free=True)


def is_final(response: Any) -> bool:
    """Return whether a retry of a 429, or of a 5xx, would fail too.

    The one concerns the account, the other a field of the request.
    """
    status = response.status_code
    if status == 429:
        return any(code in response.text for code in _FATAL_CODES)
    sent_type = response.request.headers.get("content-type", "")
    # Files are uploaded as streams, which cannot be read again.
    if status < 500 or not sent_type.startswith("application/json"):
        return False
    try:
        sent = json.loads(response.request.content)
    except ValueError:
        return False
    return refuses_every_try(status, response.text, sent)


def words_of(error: Any) -> str:
    """Return what a provider says of a failure, on one line, after its HTTP status."""
    status = getattr(error, "status_code", None)
    if status is None:
        return describe(error)
    return f"HTTP {status}: {_provider_message(error)}"


def _fault_of_reply(
    status: int,
    error: Any,
) -> ThemisError:
    # Providers put the machine-readable reason under either name.
    code = getattr(error, "code", None) or getattr(error, "type", None)
    fault = fault_of_status(status, words_of(error), code=str(code or ""))
    if isinstance(fault, TransientError) and is_misfit(plain_text(str(fault))):
        # A server that says 500 of a request that it cannot read.
        return RowError(str(fault))
    if isinstance(fault, FatalError):
        return FatalError(f"{fault}{_asked_at(status, error)}")
    return fault


def fault_of_status(
    status: int,
    said: str,
    *,
    code: str = "",
) -> ThemisError:
    """Return what a failure with an HTTP status and perhaps a code of its own means."""
    is_moderated = False
    if status == 403:
        is_moderated = any(word in said.lower() for word in _MODERATION)
    # Codes come first: an exhausted quota is a 429 that no waiting heals.
    is_fatal = code in _FATAL_CODES or bool(status == 400 and _NO_CREDIT.search(said))
    if is_fatal or (status in _FATAL_STATUSES and not is_moderated):
        advice = _ADVICE.get(status, "the provider refuses every request like this one")
        return FatalError(f"{advice}: {said}")
    # Below 400: the SDK raises for a redirect that leads nowhere.
    if status in _TRANSIENT_STATUSES or status >= 500 or status < 400:
        return TransientError(said)
    return RowError(said)


def fault_of_code(
    code: str,
    kind: str,
    said: str,
) -> ThemisError:
    """Return what a failure without a status means, by the names of its code and type.

    A failure that neither name explains may pass.
    """
    if not code and kind in _STATUS_OF_TYPE:
        return fault_of_status(_STATUS_OF_TYPE[kind], said)
    if {code, kind} & _FATAL_CODES:
        return FatalError(f"the provider refuses every request like this one: {said}")
    if _FACT_WORDS.search(code or kind):
        return RowError(said)
    return TransientError(said)


def _asked_at(
    status: int,
    error: Any,
) -> str:
    """Return the address, where it may be what is wrong."""
    place = getattr(error.response, "extensions", {}).get("place")
    return f"; asked at {place}" if place and status in _FATAL_STATUSES else ""


def _reason_of(error: BaseException) -> str:
    """Return why a connection failed, in the words of what failed first."""
    reason = error
    seen: BaseException | None = error
    while seen is not None:
        # The client only says that all attempts failed: one of them knows why.
        if isinstance(seen, OSError) and seen.errno is not None:
            reason = seen
        causes = getattr(seen, "exceptions", None)
        seen = causes[0] if causes else seen.__cause__ or seen.__context__
    return describe(reason)


def _provider_message(error: Any) -> str:
    """Return what a provider says of a failure, on one line."""
    said = None
    body = getattr(error, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], dict):
        # Google's: the one error is in a list.
        body = body[0].get("error", body[0])
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        # Anthropic's: the SDK keeps what is around the error.
        body = body["error"]
    if isinstance(body, dict):
        # OpenAI's field, that of simpler servers, and that of FastAPI.
        said = body.get("message") or body.get("error") or body.get("detail")
    if not said:
        said = getattr(error, "message", error)
    # Bounded: the body of a proxy's error page would be kept in every row.
    return " ".join(str(said).split())[:MESSAGE_CHARS]
