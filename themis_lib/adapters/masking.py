"""What must not be seen of a generator's settings, and how it is taken out of results,
errors and log lines.
"""

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
#: A literal that nothing calls a credential but that looks like one.
_LIKE_A_KEY = re.compile(r"(?=.*\d)\S{16,}")


class Mask:
    """Takes secrets out of texts and out of every text in a JSON value: providers
    repeat what they were sent.
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        *,
        words: Iterable[str] = (),
    ) -> None:
        #: Longest first, so that a secret that holds another goes as a whole.
        self.secrets = sorted(
            {form for text in secrets for form in _secret_forms(text)},
            key=lambda text: (-len(text), text),
        )
        self._words = set(words)
        self._pattern = re.compile("|".join(map(re.escape, self.secrets)) or r"(?!)")

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._pattern.sub(_MASK, value)
        if isinstance(value, Mapping):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    @cached_property
    def for_outputs(self) -> Mask:
        """The mask without the keys that are ordinary words, which a model may write by
        itself.
        """
        return Mask(secret for secret in self.secrets if secret not in self._words)

    def finds(self, text: str) -> bool:
        """Whether a text, or JSON as text, holds a secret."""
        return any(secret in text for secret in self.secrets)


def masked_fault(
    fault: Exception,
    mask: Mask,
) -> Exception:
    """A failure of the same kind without secrets in its message; the same one where
    there are none.
    """
    said = str(fault)
    if not mask.finds(said):
        return fault
    if isinstance(fault, ThemisError):
        # A class of the user's own may not be made of a message alone.
        library = ThemisError.__module__
        kind: type[ThemisError] = next(
            kind for kind in type(fault).__mro__ if kind.__module__ == library
        )
        return kind(mask(said)).marked(is_free=fault.is_free)
    return (TransientError if is_transient(fault) else ThemisError)(
        f"{type(fault).__name__}: {mask(said)}"
    )


def masked_result(
    result: GenerationResult,
    mask: Mask,
) -> GenerationResult:
    """A result without secrets in any of its texts; the same one where there are none."""
    if not mask.secrets:
        return result
    kept = result.model_dump()
    shown = mask(kept)
    return result if shown == kept else GenerationResult.model_validate(shown)


def secrets_in(
    *,
    base_url: str,
    url: str,
    headers: Mapping[str, str],
    api_key: str,
) -> Iterator[str]:
    """The secrets of an address: its key, and what URL and headers say in a
    credential's place or by reference.

    `base_url` and `headers` are as they were written, `url` is with its references
    resolved.
    """
    yield api_key
    yield from referenced_values(headers)
    yield from referenced_values(base_url, only_credentials=True)
    for name, value in headers.items():
        named = may_be_credential(name)
        yield from (
            word
            for word in value.split()
            if (named and not word.isalpha()) or _LIKE_A_KEY.fullmatch(word)
        )
    parts = urlsplit(url)
    if parts.password or parts.username:
        yield parts.password or parts.username or ""
        yield b64encode(
            f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
        ).decode()
    for name, value in parse_qsl(parts.query):
        if (
            may_be_credential(name)
            or _LIKE_A_KEY.fullmatch(value)
            or value in referenced_values(base_url)
        ):
            yield value


def _secret_forms(secret: str) -> Iterator[str]:
    """A secret as it is, in a URL and in JSON."""
    for text in (
        secret,
        unquote(secret),
        quote(secret),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
    ):
        if len(text) >= _SHORTEST:
            yield text


def is_word(key: str) -> bool:
    """Whether a key is a word such as `ollama`, which servers that check no key are
    given.
    """
    return not _LIKE_A_KEY.fullmatch(key)


class _MaskLogs(logging.Filter):
    """Takes secrets out of the log lines of this process."""

    def __init__(self) -> None:
        super().__init__()
        self._mask = Mask()

    def add(self, mask: Mask) -> None:
        if not set(mask.secrets) <= set(self._mask.secrets):
            self._mask = Mask([*self._mask.secrets, *mask.secrets])

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            return True  # arguments that do not fit, which whoever handles the record complains of
        record.msg, record.args = self._mask(said), ()
        if record.exc_info:
            traceback = _FORMATTER.formatException(record.exc_info)
            if self._mask.finds(
                traceback
            ):  # its exceptions are not shown to handlers that would write them anew
                record.exc_info, record.exc_text = None, self._mask(traceback)
        return True


#: The loggers that write addresses, headers, replies, or what a node of a graph raised.
_LOGGERS = (
    "langgraph",
    "langgraph.pregel._retry",
    "langchain_core.callbacks.manager",
    "httpx",
    "httpx2",
    "openai",
    "openai._base_client",
    "openai._legacy_response",
    "openai._response",
    *(
        f"{package}.{part}"
        for package in ("httpcore", "httpcore2")
        for part in ("connection", "http11", "http2", "proxy", "socks")
    ),
)
_FORMATTER = logging.Formatter()
_MASK_LOGS = _MaskLogs()


def mask_logs(mask: Mask) -> None:
    """Take these secrets out of what SDKs, their HTTP client and LangGraph log from now
    on.
    """
    _MASK_LOGS.add(mask)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_MASK_LOGS)
