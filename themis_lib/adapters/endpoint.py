"""A provider's address and credentials, and which parts of them may be kept or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from themis_lib.adapters.masking import (
    Mask,
    is_word,
    mask_logs,
    secrets_in_headers,
    secrets_in_url,
)
from themis_lib.core.secrets import (
    is_literal,
    may_be_credential,
    referenced_values,
    resolve_public,
    resolve_references,
)
from themis_lib.errors import ComponentError, ConfigError

OPENAI_URL = "https://api.openai.com/v1"
#: Attributes of injected clients that hold secrets: the key, a token, those of AWS and
#: of Google.
_CLIENT_SECRETS = (
    "api_key",
    "auth_token",
    "aws_secret_key",
    "aws_session_token",
    "access_token",
)
#: Where they are: in the client, and in the SDK's own inside of one of any-llm's.
_SECRET_HOLDERS = ("client", "client._api_client", "client.sdk_configuration.security")
#: The characters of a token: RFC 9110, 5.6.2.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Address:
    """Where requests go, with resolved credentials. Never stored, never shown."""

    base_url: str = field(repr=False)
    api_key: str = field(
        default="",
        repr=False,
    )
    #: A bearer token, in place of a key or beside it.
    auth_token: str = field(
        default="",
        repr=False,
    )
    headers: tuple[tuple[str, str], ...] = field(
        default=(),
        repr=False,
    )
    timeout_s: float | None = None
    max_retries: int = 3
    #: What people are told: the address without secrets, and where it is set.
    place: str = field(
        default="",
        compare=False,
    )


@dataclass(frozen=True)
class Endpoint:
    """A provider's settings as written, with `${NAME}` references, and what they yield.

    Key and address default to environment variables. Of an injected `client` only its
    address and key are read. `sent` are the settings that requests contain unchanged.
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
    #: Empty where only the SDK knows it.
    default_url: str
    key_is_needed: bool
    #: A token in place of the key, and the variable that it defaults to.
    auth_token: str | None = field(
        default=None,
        repr=False,
    )
    token_variable: str = ""
    #: The variable with further headers that the SDK sends, a line each.
    headers_variable: str = ""
    #: Environment variables with further credentials, which the SDK reads by itself.
    secret_variables: tuple[str, ...] = ()
    #: Makes an address of what the environment variable says.
    read_url: Callable[[str], str] = str
    #: The command that starts a server of one's own.
    start: str = ""

    @property
    def given_url(self) -> str:
        """The address as it was written; it may contain secrets."""
        if self.base_url:
            return self.base_url
        of_environment = os.environ.get(self.url_variable)
        return self.read_url(of_environment) if of_environment else self.default_url

    @property
    def place(self) -> str:
        """The address without secrets, and where it is set."""
        if self.base_url:
            source = "a setting of the generator"
        elif os.environ.get(self.url_variable):
            source = f"from the environment variable {self.url_variable}"
        else:
            source = f"the default; set base_url or {self.url_variable} for another"
        if self.start:
            source += f"; `{self.start}` starts one"
        if not self.public_url:
            return f"the provider's own address ({source})"
        return f"base_url={self.public_url!r} ({source})"

    @cached_property
    def public_url(self) -> str:
        """The address without secrets, the injected client's where none is set."""
        if self.base_url is None:
            client_url = getattr(self.client, "base_url", None)
            if client_url:
                return public_url(str(client_url))
        return public_url(resolve_public(self.given_url, where="base_url"))

    @property
    def identity_url(self) -> str:
        """The public address with the plain parts of its query (`api-version`)."""
        plain = []
        for name, value in parse_qsl(_split_url(self.given_url).query):
            if may_be_credential(name) or "${" in value:
                continue
            # A dated version is long enough to look like a key, but is none.
            if is_word(value) or name.endswith("version"):
                plain.append((name, value))
        if not plain:
            return self.public_url
        return f"{self.public_url}?{urlencode(sorted(plain))}"

    @cached_property
    def address(self) -> Address:
        """The address with every reference resolved.

        Raises `ComponentError` if a key is missing or an HTTP request cannot contain
        the address, the key or a header.
        """
        key, token = self._credentials()
        is_missing = not key and not token
        if is_missing and self.key_is_needed and self.public_url == self.default_url:
            raise ComponentError(
                "there is no API key; set the environment variable "
                f"{self.key_variable}, or give api_key: ${{NAME}} for another"
            )
        headers = resolve_references(dict(self.headers), where="headers")
        url = resolve_references(self.given_url, where="base_url")
        if url:
            _check_url(url, shown=public_url(self.given_url))
        for name in headers:
            if not _HEADER_NAME.fullmatch(name):
                raise ComponentError(f"headers: {name!r} is no name of a header")
        for name, value in {
            "api_key": key,
            "auth_token": token,
            **headers,
        }.items():
            # The HTTP client's own error would quote the value, which is a secret.
            if not (value.isascii() and value.isprintable()):
                raise ComponentError(
                    f"{name}: an HTTP header cannot hold its value; "
                    "is there a line break in it?"
                )
        return Address(
            base_url=url,
            api_key=key,
            auth_token=token,
            # Sorted, since an address is a key of clients and throttles.
            headers=tuple(sorted(headers.items())),
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            place=self.place,
        )

    def _credentials(self) -> tuple[str, str]:
        """Return key and token; those of the environment where neither is a setting."""
        key = resolve_references(self.api_key or "", where="api_key")
        token = resolve_references(self.auth_token or "", where="auth_token")
        if not key and not token:
            key = os.environ.get(self.key_variable, "")
        # A key has precedence: with both, it is not known whose account is charged.
        if not key and not token and self.token_variable:
            token = os.environ.get(self.token_variable, "")
        # Keys read from files end in a line break, which no header can contain.
        return key.strip(), token.strip()

    @property
    def _headers_of_environment(self) -> dict[str, str]:
        headers = {}
        for line in os.environ.get(self.headers_variable, "").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                headers[name.strip()] = value.strip()
        return headers

    @cached_property
    def mask(self) -> Mask:
        """The mask of errors; making it also masks log lines from then on."""
        if self.client is None:
            key = self.address.api_key
            url = self.address.base_url
            found = {key, self.address.auth_token}
            found.update(secrets_in_url(url, given_url=self.given_url))
            found.update(secrets_in_headers(self.headers))
        else:
            # An injected client shows its key; its headers and query stay its own.
            found = _secrets_of(self.client)
            shown = getattr(self.client, "api_key", None)
            key = shown if isinstance(shown, str) else ""
        found.update(secrets_in_headers(self._headers_of_environment))
        found.update(os.environ.get(name, "") for name in self.secret_variables)
        sent = referenced_values(self.sent, only_credentials=True)
        # Words are masked in errors and logs, but a model may write them by itself.
        words = [value for value in sent if value.isalpha()]
        if is_word(key):
            words.append(key)
        mask = Mask(found | sent, words=words)
        mask_logs(mask)
        return mask

    @cached_property
    def output_mask(self) -> Mask:
        """The mask of answers, which leaves ordinary words alone."""
        return self.mask.for_outputs


def public_url(url: str) -> str:
    """Return an address without user, password, query and fragment.

    >>> public_url("https://me:secret@host:8000/v1/?key=1")
    'https://host:8000/v1'
    """
    parts = _split_url(url)
    host = parts.netloc.rpartition("@")[2]
    public = parts._replace(
        netloc=host,
        path=parts.path.rstrip("/"),
        query="",
        fragment="",
    )
    return public.geturl()


def refuse_literals(base_url: str) -> None:
    """Raise `ConfigError` if an address contains a credential other than `${NAME}`."""
    parts = _split_url(base_url)
    held = {"password": parts.password or ""}
    if not parts.password:
        # A user name without a password is how some providers take a key.
        held["user_key"] = parts.username or ""
    held.update(parse_qsl(parts.query))
    for name, value in held.items():
        if value and may_be_credential(name) and is_literal(value):
            variable = re.sub(r"\W", "_", name).upper()
            raise ConfigError(
                f"base_url.{name} holds a credential as it is; put it into an "
                f"environment variable and write '${{{variable}}}'"
            )


def _secrets_of(client: Any) -> set[str]:
    """Return the credentials that an injected client shows."""
    holders = [client]
    for path in _SECRET_HOLDERS:
        with suppress(AttributeError):
            holders.append(attrgetter(path)(client))
    shown = [
        getattr(holder, name, None) for holder in holders for name in _CLIENT_SECRETS
    ]
    return {value for value in shown if isinstance(value, str)}


def _split_url(url: str) -> SplitResult:
    # `urlsplit` raises for brackets that contain no IPv6 address.
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ComponentError(f"base_url: it is no address: {error}") from None


def _check_url(
    url: str,
    *,
    shown: str,
) -> None:
    """Raise `ComponentError` if no request can go to an address."""
    # `shown` is the public part alone: the address itself may contain a secret.
    parts = _split_url(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ComponentError(
            f"base_url={shown!r}: write an address such as 'http://localhost:8000/v1'"
        )
    # A port is only parsed, and refused, when it is read.
    try:
        _ = parts.port
    except ValueError as error:
        raise ComponentError(f"base_url={shown!r}: {error}") from None
