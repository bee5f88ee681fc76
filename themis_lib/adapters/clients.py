"""Clients of the OpenAI SDK: one for each event loop and provider, closed when the loop ends.

Every request passes the provider's throttle, also those that the SDK sends again.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.masking import is_word
from themis_lib.core.secrets import may_be_credential
from themis_lib.errors import ComponentError

_REQUEST_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Address:
    """Where requests go and with what: nothing here is ever stored or shown."""

    base_url: str = field(repr=False)
    api_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_s: float | None = None
    max_retries: int = 3


def public_url(url: str) -> str:
    """An address without user, password, query and fragment.

    >>> public_url("https://me:secret@host:8000/v1/?key=1")
    'https://host:8000/v1'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def identity_url(public: str, given: str) -> str:
    """An address with what its query says in plain words, such as `api-version`; nothing that may be a credential."""
    plain = [
        (name, value)
        for name, value in parse_qsl(urlsplit(given).query)
        if not may_be_credential(name) and "${" not in value and (is_word(value) or name.endswith("version"))
    ]
    return f"{public}?{urlencode(sorted(plain))}" if plain else public


_Clients = dict[tuple[Address, Throttle], tuple[Any, AsyncGenerator[None, None]]]
_CLIENTS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = weakref.WeakKeyDictionary()


async def client_for(address: Address, throttle: Throttle) -> Any:
    """The `openai.AsyncOpenAI` of this address under this throttle, on the running loop."""
    clients = _CLIENTS.setdefault(asyncio.get_running_loop(), {})
    key = (address, throttle)
    if key not in clients:
        client = _new_client(address, throttle)
        lifetime = _lifetime(client, clients, key)
        clients[key] = (client, lifetime)
        await anext(lifetime)
    return clients[key][0]


async def post(client: Any, path: str, request: Mapping[str, Any]) -> tuple[Any, Mapping[str, str], float]:
    """The reply to a request as JSON, its headers, and the seconds from the request to its end.

    The SDK's `create` sends the same, but takes as long again to look through arguments and reply.
    """
    import httpx2

    body = {name: value for name, value in request.items() if name != "extra_body"} | request.get("extra_body", {})
    response = await client.post(path, cast_to=httpx2.Response, body=body)
    return response.json(), response.headers, response.elapsed.total_seconds()


async def _lifetime(client: Any, clients: _Clients, key: tuple[Address, Throttle]) -> AsyncGenerator[None, None]:
    """Held open as long as its loop runs; a loop that shuts down closes its generators, and so the client."""
    try:
        yield
    finally:
        del clients[key]
        await client.close()


def _new_client(address: Address, throttle: Throttle) -> Any:
    import openai

    from themis_lib.adapters.transport import ThrottledClient

    timeout_s = address.timeout_s or _REQUEST_TIMEOUT_S
    parts = urlsplit(address.base_url)
    return openai.AsyncOpenAI(
        api_key=address.api_key or "none",  # the SDK wants one, also for servers that do not
        base_url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        default_query=dict(parse_qsl(parts.query)),
        default_headers=dict(address.headers),
        timeout=timeout_s,
        max_retries=address.max_retries,
        http_client=ThrottledClient(throttle, timeout_s=timeout_s),
    )


def check_sdk() -> None:
    """Raises `ComponentError` where the package `openai` is not installed; importing it takes long, and can wait."""
    if find_spec("openai") is None:
        raise ComponentError("openai is not installed: pip install 'themis-flows[openai]'")
