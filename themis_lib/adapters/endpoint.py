"""Where a provider is and who asks it: address and credentials, and what of them may be
kept and shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from themis_lib.adapters.masking import Mask, is_word, mask_logs, secrets_in
from themis_lib.core.secrets import (
    is_literal,
    may_be_credential,
    referenced_values,
    resolve_public,
    resolve_references,
)
from themis_lib.errors import ComponentError, ConfigError

OPENAI_URL = "https://api.openai.com/v1"
#: RFC 9110, 5.6.2.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Address:
    """Where requests go and with what: nothing here is ever stored or shown."""

    base_url: str = field(repr=False)
    api_key: str = field(
        default="",
        repr=False,
    )
    headers: tuple[tuple[str, str], ...] = field(
        default=(),
        repr=False,
    )
    timeout_s: float | None = None
    max_retries: int = 3


@dataclass(frozen=True)
class Endpoint:
    """The settings of a provider as they were written, with `${NAME}` references, and
    what becomes of them.

    Key and address come from the environment variables where they are not given. Of an
    injected `client` only its address and key are asked. `sent` are the settings that
    requests hold as they are.
    """

    base_url: str | None = field(repr=False)
    api_key: str | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    client: Any = field(repr=False)
    sent: tuple[Any, ...] = field(repr=False)
    timeout_s: float | None
    max_retries: int
    key_variable: str
    url_variable: str
    default_url: str
    key_is_needed: bool

    @property
    def given_url(self) -> str:
        """The address as it was written; it may hold secrets."""
        return self.base_url or os.environ.get(self.url_variable) or self.default_url

    @cached_property
    def public_url(self) -> str:
        """The address without anything secret. An injected client may have one of its
        own.
        """
        own = getattr(self.client, "base_url", None) if self.base_url is None else None
        return public_url(
            str(own) if own else resolve_public(self.given_url, where="base_url")
        )

    @property
    def identity_url(self) -> str:
        """The public address with what its query says in plain words, such as
        `api-version`.
        """
        plain = [
            (name, value)
            for name, value in parse_qsl(_split_url(self.given_url).query)
            if not may_be_credential(name)
            and "${" not in value
            and (is_word(value) or name.endswith("version"))
        ]
        return (
            f"{self.public_url}?{urlencode(sorted(plain))}"
            if plain
            else self.public_url
        )

    @cached_property
    def address(self) -> Address:
        """Where requests go, with every reference resolved. Raises `ComponentError` for
        what no request can hold.
        """
        key = resolve_references(self.api_key or "", where="api_key") or os.environ.get(
            self.key_variable, ""
        )
        key = key.strip()
        if not key and self.key_is_needed and self.public_url == OPENAI_URL:
            raise ComponentError(
                f"there is no API key; set the environment variable {self.key_variable}, or give "
                "api_key: ${NAME} for another"
            )
        headers = resolve_references(dict(self.headers), where="headers")
        url = resolve_references(self.given_url, where="base_url")
        _check_url(url, shown=public_url(self.given_url))
        _check_headers(key, headers)
        return Address(
            url,
            key,
            tuple(sorted(headers.items())),
            self.timeout_s,
            self.max_retries,
        )

    @cached_property
    def mask(self) -> Mask:
        """Takes the secrets out of errors, and from here on out of log lines."""
        if self.client is None:
            key = self.address.api_key
            found = set(
                secrets_in(
                    base_url=self.given_url,
                    url=self.address.base_url,
                    headers=self.headers,
                    api_key=key,
                )
            )
        else:  # its key is all that is known of it
            own = getattr(self.client, "api_key", None)
            key = own if isinstance(own, str) else ""
            found = {key}
        sent = referenced_values(self.sent, only_credentials=True)
        mask = Mask(
            found | sent, words=[*filter(is_word, [key]), *filter(str.isalpha, sent)]
        )
        mask_logs(mask)
        return mask

    @cached_property
    def output_mask(self) -> Mask:
        """Takes the secrets out of answers."""
        return self.mask.for_outputs


def public_url(url: str) -> str:
    """An address without user, password, query and fragment.

    >>> public_url("https://me:secret@host:8000/v1/?key=1")
    'https://host:8000/v1'
    """
    parts = _split_url(url)
    return urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", "")
    )


def refuse_literals(base_url: str) -> None:
    """Raises `ConfigError` for a credential that stands in the address as it is and not
    as `${NAME}`.
    """
    parts = _split_url(base_url)
    alone = (
        "" if parts.password else parts.username or ""
    )  # a name without a password is a key itself
    held = {
        "password": parts.password or "",
        "user_key": alone,
        **dict(parse_qsl(parts.query)),
    }
    for name, value in held.items():
        if value and may_be_credential(name) and is_literal(value):
            variable = re.sub(r"\W", "_", name).upper()
            raise ConfigError(
                f"base_url.{name} holds a credential as it is; put it into an environment variable and write "
                f"'${{{variable}}}'"
            )


def _split_url(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ComponentError(f"base_url: it is no address: {error}") from None


def _check_url(
    url: str,
    *,
    shown: str,
) -> None:
    parts = _split_url(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ComponentError(
            f"base_url={shown!r}: write an address such as 'http://localhost:8000/v1'"
        )
    try:
        _ = parts.port
    except ValueError as error:
        raise ComponentError(f"base_url={shown!r}: {error}") from None


def _check_headers(
    key: str,
    headers: Mapping[str, str],
) -> None:
    for name in headers:
        if not _HEADER_NAME.fullmatch(name):
            raise ComponentError(f"headers: {name!r} is no name of a header")
    for name, value in {"api_key": key, **headers}.items():
        if not (value.isascii() and value.isprintable()):
            raise ComponentError(
                f"{name}: an HTTP header cannot hold its value; is there a line break in it?"
            )
