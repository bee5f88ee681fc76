"""Secrets of a generator's settings, masked in results, errors and log lines."""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from themis_lib.core.models import GenerationResult
from themis_lib.core.secrets import may_be_credential, referenced_values
from themis_lib.errors import ThemisError, TransientError, is_transient

_MASK = "***"
#: Shorter values are no credentials, and masking them would spoil ordinary text.
_SHORTEST = 6
#: A literal that looks like a credential, although no name says so.
_LIKE_A_KEY = re.compile(r"(?=.*\d)\S{16,}")
#: The pattern that matches nothing, for a mask without secrets.
_NEVER = r"(?!)"


class Mask:
    """A filter of secrets in texts and in every text of a JSON value.

    It is needed since providers repeat what they were sent.
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        *,
        words: Iterable[str] = (),
    ) -> None:
        forms: set[str] = set()
        for secret in secrets:
            # As it is, as it is in a URL, and as it is in JSON without the quotes.
            forms |= {
                secret,
                unquote(secret),
                quote(secret),
                quote(secret, safe=""),
                json.dumps(secret)[1:-1],
            }
        #: Longest first, so that a secret that contains another is masked as a whole.
        self.secrets = sorted(form for form in forms if len(form) >= _SHORTEST)
        self.secrets.sort(
            key=len,
            reverse=True,
        )
        #: As JSON writes each of them, so that they are found in a value as one text.
        self._in_json = [json.dumps(secret)[1:-1] for secret in self.secrets]
        self._words = set(words)
        alternatives = "|".join(map(re.escape, self.secrets))
        self._pattern = re.compile(alternatives or _NEVER)

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._pattern.sub(_MASK, value)
        if isinstance(value, Mapping):
            # Keys too: a model that echoes its input may write a secret as one.
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    @cached_property
    def for_outputs(self) -> Mask:
        """The mask without keys that are ordinary words, which a model may write."""
        return Mask(secret for secret in self.secrets if secret not in self._words)

    def finds(self, text: str) -> bool:
        """Return whether a text, or JSON as text, contains a secret."""
        return any(secret in text for secret in self.secrets)

    def may_find(self, value: Any) -> bool:
        """Return whether a text of a value may contain a secret: if not, none does.

        >>> Mask(["sk-12345"]).may_find({"said": ["my key is sk-12345"]})
        True
        """
        try:
            text = json.dumps(value)
        # No JSON: the texts in it may still hold one.
        except (TypeError, ValueError, RecursionError):
            return True
        return any(secret in text for secret in self._in_json)


def masked_fault(
    fault: Exception,
    mask: Mask,
) -> Exception:
    """Return a failure of the same kind without secrets in its message.

    A failure whose message contains none is returned unchanged.
    """
    said = str(fault)
    if not mask.finds(said):
        return fault
    if not isinstance(fault, ThemisError):
        kind = TransientError if is_transient(fault) else ThemisError
        return kind(f"{type(fault).__name__}: {mask(said)}")
    # A user's subclass may need more than a message: its library base never does.
    for base in type(fault).__mro__:
        if base.__module__ == ThemisError.__module__:
            break
    return base(mask(said)).marked(is_free=fault.is_free)  # type: ignore[no-any-return]


def masked_result(
    result: GenerationResult,
    mask: Mask,
) -> GenerationResult:
    """Return a result without secrets in any text, unchanged if it contains none."""
    if not mask.secrets:
        return result
    given = result.model_dump()
    # A look at all of it as one text: few results contain a secret.
    if not mask.may_find(given):
        return result
    masked = mask(given)
    if masked == given:
        return result
    return GenerationResult.model_validate(masked)


def secrets_in_headers(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets of headers, given as they were written.

    A secret is a value given by reference, one under a credential's name, or one that
    looks like a key.
    """
    yield from referenced_values(headers)
    for name, value in headers.items():
        is_named = may_be_credential(name)
        # Word by word: "Bearer" before a token is no secret.
        for word in value.split():
            if _LIKE_A_KEY.fullmatch(word) or (is_named and not word.isalpha()):
                yield word


def secrets_in_url(
    url: str,
    *,
    given_url: str,
) -> Iterator[str]:
    """Yield the secrets of an address: of its user and of its query.

    `given_url` is the address as it was written; `url` has its references resolved.
    """
    yield from referenced_values(given_url, only_credentials=True)
    parts = urlsplit(url)
    user = parts.username or ""
    password = parts.password or ""
    if password or user:
        # A user name beside a password is public; alone it is the key.
        yield password or user
        # As the `Authorization` header of basic authentication writes both.
        basic = f"{unquote(user)}:{unquote(password)}"
        yield b64encode(basic.encode()).decode()
    referenced = referenced_values(given_url)
    for name, value in parse_qsl(parts.query):
        is_secret = may_be_credential(name) or value in referenced
        if is_secret or _LIKE_A_KEY.fullmatch(value):
            yield value


def is_word(key: str) -> bool:
    """Return whether a key is a word, such as `ollama`, for a server that checks none."""
    return not _LIKE_A_KEY.fullmatch(key)


def mask_logs(mask: Mask) -> None:
    """Mask these secrets in log lines of SDKs, HTTP client and LangGraph from now on."""
    _LOG_FILTER.add(mask)
    for name in _LOGGERS:
        # The same filter each time: a logger holds one filter only once.
        logging.getLogger(name).addFilter(_LOG_FILTER)


class _LogFilter(logging.Filter):
    """A filter that masks the secrets of all generators in this process's log lines."""

    def __init__(self) -> None:
        super().__init__()
        self._mask = Mask()

    def add(self, mask: Mask) -> None:
        # Compiling the pattern anew for each of many generators would be quadratic.
        if not set(mask.secrets) <= set(self._mask.secrets):
            self._mask = Mask([*self._mask.secrets, *mask.secrets])

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            # The arguments do not fit the message: the handler reports that.
            return True
        record.msg = self._mask(said)
        record.args = ()
        if record.exc_info:
            traceback = _FORMATTER.formatException(record.exc_info)
            if self._mask.finds(traceback):
                # A handler would format the exception itself, with its secrets.
                record.exc_info = None
                record.exc_text = self._mask(traceback)
        return True


#: Loggers of both generations of the HTTP client's own transport, which proxies need.
_TRANSPORT_LOGGERS = tuple(
    f"{package}.{part}"
    for package in ("httpcore", "httpcore2")
    for part in ("connection", "http11", "http2", "proxy", "socks")
)
#: Loggers of the providers' SDKs.
_SDK_LOGGERS = tuple(
    f"{package}{part}"
    for package in ("openai", "anthropic")
    for part in ("", "._base_client", "._legacy_response", "._response")
)
#: The loggers that write addresses, headers, replies, or what a graph's node raised.
#: By name, since a filter does not apply to the records of child loggers.
_LOGGERS = (
    "langgraph",
    "langgraph.pregel._retry",
    "langchain_core.callbacks.manager",
    "httpx",
    "httpx2",
    "aiohttp.client",
    "aiohttp.internal",
    *_SDK_LOGGERS,
    *_TRANSPORT_LOGGERS,
)
_FORMATTER = logging.Formatter()
_LOG_FILTER = _LogFilter()
