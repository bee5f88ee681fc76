"""Clients of the OpenAI SDK: one for each event loop and provider, closed when the loop
ends.

Every request passes the provider's throttle, also those that the SDK sends again.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import weakref
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import wait
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from themis_lib.adapters.endpoint import Address
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.requests import ApiMode
from themis_lib.errors import ComponentError
from themis_lib.stages.calls import in_thread

_REQUEST_TIMEOUT_S = 600.0
_CLOSING_S = 2.0
_PROCESS = os.getpid()
_PATHS = {"responses": "/responses", "chat_completions": "/chat/completions"}

#: A reply, its headers, and the seconds from the request to its end where the client
#: says so.
Reply: TypeAlias = tuple[Any, Mapping[str, str], float | None]

_Clients = dict[tuple[Address, Throttle], tuple[Any, AsyncGenerator[None, None]]]
_CLIENTS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = (
    weakref.WeakKeyDictionary()
)


async def client_for(
    address: Address,
    throttle: Throttle,
) -> Any:
    """The `openai.AsyncOpenAI` of this address under this throttle, on the running
    loop.
    """
    clients = _CLIENTS.setdefault(asyncio.get_running_loop(), {})
    key = (address, throttle)
    if key not in clients:
        client = _new_client(address, throttle)
        lifetime = _hold_client_open(client, clients, key)
        clients[key] = (client, lifetime)
        await anext(lifetime)
    return clients[key][0]


async def post(
    client: Any,
    api_mode: ApiMode,
    request: Mapping[str, Any],
) -> Reply:
    """The reply to a request, as JSON.

    The SDK's `create` sends the same, but takes as long again to look through arguments
    and reply.
    """
    import httpx2

    body = {
        name: value for name, value in request.items() if name != "extra_body"
    } | request.get("extra_body", {})
    response = await client.post(
        _PATHS[api_mode],
        cast_to=httpx2.Response,
        body=body,
    )
    return response.json(), response.headers, response.elapsed.total_seconds()


async def create(
    client: Any,
    api_mode: ApiMode,
    request: Mapping[str, Any],
) -> Reply:
    """The reply of a client of one's own, sync or async, as the object that its
    `create` returns.
    """
    resource = client.responses if api_mode == "responses" else client.chat.completions
    raw = getattr(resource, "with_raw_response", None)
    create_reply = (raw or resource).create
    if inspect.iscoroutinefunction(create_reply):
        reply = await create_reply(**request)
    else:
        reply = await in_thread(lambda: create_reply(**request))
        reply = await reply if inspect.isawaitable(reply) else reply
    headers = getattr(reply, "headers", None) or {}
    elapsed = getattr(reply, "elapsed", None)
    if raw is not None:
        reply = reply.parse()
        reply = await reply if inspect.isawaitable(reply) else reply
    return (
        reply,
        headers,
        elapsed.total_seconds() if isinstance(elapsed, timedelta) else None,
    )


def _close_at_exit() -> None:
    """Close the clients of loops that run until the process ends, such as the one that
    Prefect's tasks share.
    """
    if os.getpid() != _PROCESS:
        return  # a fork has no threads of its parent's, and so no loops
    closing = [
        asyncio.run_coroutine_threadsafe(lifetime.aclose(), loop)
        for loop, clients in list(_CLIENTS.items())
        for _, lifetime in list(clients.values())
        if loop.is_running()
    ]
    wait(closing, _CLOSING_S)  # a server that does not answer holds up nobody


atexit.register(_close_at_exit)


async def _hold_client_open(
    client: Any,
    clients: _Clients,
    key: tuple[Address, Throttle],
) -> AsyncGenerator[None, None]:
    """Held open as long as its loop runs; a loop that shuts down closes its generators,
    and so the client.
    """
    try:
        yield
    finally:
        del clients[key]
        await client.close()


def _new_client(
    address: Address,
    throttle: Throttle,
) -> Any:
    import openai

    from themis_lib.adapters.transport import ThrottledClient

    timeout_s = address.timeout_s or _REQUEST_TIMEOUT_S
    parts = urlsplit(address.base_url)
    return openai.AsyncOpenAI(
        api_key=address.api_key
        or "none",  # the SDK wants one, also for servers that do not
        base_url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        default_query=dict(parse_qsl(parts.query)),
        default_headers=dict(address.headers),
        timeout=timeout_s,
        max_retries=address.max_retries,
        http_client=ThrottledClient(throttle, timeout_s=timeout_s),
    )


def check_sdk() -> None:
    """Raises `ComponentError` where the package `openai` is not installed; importing it
    takes long, and can wait.
    """
    if find_spec("openai") is None:
        raise ComponentError(
            "openai is not installed: pip install 'themis-flows[openai]'"
        )
