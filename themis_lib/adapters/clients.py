"""Clients of the OpenAI SDK: one for each event loop and address, closed when the loop ends.

Every request passes the provider's throttle, also those that the SDK sends again.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from themis_lib.adapters.limits import Throttle
from themis_lib.errors import ComponentError

_REQUEST_TIMEOUT_S = 600.0
_MASK = "***"
#: Shorter values are no credentials, and masking them would spoil ordinary text.
_SHORTEST_SECRET = 6


@dataclass(frozen=True)
class Address:
    """Where requests go and with what: nothing here is ever stored or shown."""

    base_url: str
    api_key: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_s: float | None = None
    max_retries: int = 3

    @property
    def public_url(self) -> str:
        """The address without user, password, query and fragment."""
        parts = urlsplit(self.base_url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))

    @property
    def secrets(self) -> list[str]:
        """Every value that must not be seen: the key, header values, and what the URL holds beside host and path."""
        parts = urlsplit(self.base_url)
        found = [self.api_key, *(value for _, value in self.headers), *(value for _, value in parse_qsl(parts.query))]
        found += [text for text in (parts.username, parts.password, parts.query) if text]
        words = [word for value in found for word in (value, *value.split())]
        return sorted({word for word in words if len(word) >= _SHORTEST_SECRET}, key=lambda word: (-len(word), word))


def masked(value: Any, secrets: list[str]) -> Any:
    """A text, or every text in a JSON value, without these values: providers repeat what they were sent."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _MASK)
        return value
    if isinstance(value, Mapping):
        return {masked(key, secrets): masked(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, secrets) for item in value]
    return value


_CLIENTS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Address, tuple[Any, Any]]]
_CLIENTS = weakref.WeakKeyDictionary()


async def client_for(address: Address, throttle: Throttle) -> Any:
    """The `openai.AsyncOpenAI` of this address on the running loop."""
    clients = _CLIENTS.setdefault(asyncio.get_running_loop(), {})
    if address not in clients:
        client = _new_client(address, throttle)
        lifetime = _lifetime(client)
        await anext(lifetime)
        clients[address] = (client, lifetime)
    return clients[address][0]


async def _lifetime(client: Any) -> AsyncGenerator[None, None]:
    """Held open as long as its loop runs; a loop that shuts down closes its generators, and so the client."""
    try:
        yield
    finally:
        await client.close()


def _new_client(address: Address, throttle: Throttle) -> Any:
    sdk = openai_sdk()
    timeout_s = address.timeout_s or _REQUEST_TIMEOUT_S
    _mask_logs(address.secrets)
    parts = urlsplit(address.base_url)

    class ThrottledClient(sdk.DefaultAsyncHttpxClient):  # type: ignore[misc, name-defined]
        """Sends each request when the provider's limits allow it, and gives up on one that takes too long."""

        async def send(self, request: Any, **options: Any) -> Any:
            async with throttle:
                async with asyncio.timeout(timeout_s):
                    response = await super().send(request, **options)
                throttle.observe(response.status_code, response.headers)
                return response

    return sdk.AsyncOpenAI(
        api_key=address.api_key or "none",  # the SDK wants one, also for servers that do not
        base_url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        default_query=dict(parse_qsl(parts.query)),
        default_headers=dict(address.headers),
        timeout=timeout_s,
        max_retries=address.max_retries,
        http_client=ThrottledClient(),
    )


class _Masking(logging.Filter):
    """Takes secrets out of log lines."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = masked(record.getMessage(), self._secrets), ()
        return True


#: The loggers that write the address of a request.
_LOGGERS = ("httpx", "httpx2", "openai._base_client")


def _mask_logs(secrets: list[str]) -> None:
    for name in _LOGGERS if secrets else ():
        logging.getLogger(name).addFilter(_Masking(secrets))


def openai_sdk() -> Any:
    """The package `openai`. Raises `ComponentError` where it is not installed."""
    try:
        import openai
    except ImportError as error:
        raise ComponentError(f"{error.name} is not installed: pip install 'themis-flows[openai]'") from None
    return openai
