"""Clients of the OpenAI SDK, one per event loop and provider, closed with the loop.

Every request passes the provider's throttle, including those that the SDK retries.
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
from urllib.parse import parse_qsl, urlsplit

from themis_lib.adapters.endpoint import Address
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.requests import Api
from themis_lib.errors import ComponentError
from themis_lib.stages.calls import in_thread

#: The SDK's own default, stated here because the throttled transport needs it too.
_REQUEST_TIMEOUT_S = 600.0
#: How long the exit of the process may wait for connections to close.
_CLOSING_S = 2.0
_PROCESS = os.getpid()
_PATHS = {
    "responses": "/responses",
    "chat_completions": "/chat/completions",
    "completions": "/completions",
}

#: A reply, its headers, and its latency in seconds where the client reports one.
Reply: TypeAlias = tuple[Any, Mapping[str, str], float | None]

_Key: TypeAlias = tuple[Address, Throttle]
_Clients: TypeAlias = dict[_Key, tuple[Any, AsyncGenerator[None, None]]]
#: Weak keys: a client must not keep a finished loop alive.
_CLIENTS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = (
    weakref.WeakKeyDictionary()
)


async def client_for(
    address: Address,
    throttle: Throttle,
) -> Any:
    """Return the running loop's `openai.AsyncOpenAI` for an address and a throttle."""
    clients = _CLIENTS.setdefault(asyncio.get_running_loop(), {})
    key = (address, throttle)
    if key in clients:
        return clients[key][0]

    # Importing the SDK is slow: only a run that sends requests pays for it.
    import openai

    from themis_lib.adapters.transport import ThrottledClient

    timeout_s = address.timeout_s or _REQUEST_TIMEOUT_S
    url = urlsplit(address.base_url)
    # The SDK appends paths to the address, so that its query is given separately.
    base_url = url._replace(
        query="",
        fragment="",
    ).geturl()
    client = openai.AsyncOpenAI(
        # The SDK requires a key, even for a server that checks none.
        api_key=address.api_key or "none",
        base_url=base_url,
        default_query=dict(parse_qsl(url.query)),
        default_headers=dict(address.headers),
        timeout=timeout_s,
        max_retries=address.max_retries,
        http_client=ThrottledClient(
            throttle,
            timeout_s=timeout_s,
            place=address.place,
        ),
    )
    lifetime = _close_with_loop(client, clients, key)
    clients[key] = (client, lifetime)
    # Only a generator that has started runs its `finally` when the loop shuts down.
    await anext(lifetime)
    return client


async def post(
    client: Any,
    api: Api,
    request: Mapping[str, Any],
) -> Reply:
    """Send a request with a client of `client_for` and return the reply as JSON.

    The SDK's `create` sends the same bytes, but validating arguments and reply takes
    as long again.
    """
    import httpx2

    body = dict(request)
    # Last, so that the user's own fields win, as in the SDK.
    body.update(body.pop("extra_body", {}))
    response = await client.post(
        # A whole address: the SDK would parse and join a path three times a request.
        f"{str(client.base_url).rstrip('/')}{_PATHS[api]}",
        cast_to=httpx2.Response,
        body=body,
    )
    return response.json(), response.headers, response.elapsed.total_seconds()


async def create(
    client: Any,
    api: Api,
    request: Mapping[str, Any],
) -> Reply:
    """Send a request with an injected client, sync or async, and return its reply.

    The reply is the object that the client's `create` returns.
    """
    if api == "responses":
        resource = client.responses
    elif api == "completions":
        resource = client.completions
    else:
        resource = client.chat.completions
    # A parsed response of the SDK has lost its headers; the raw one still has them.
    raw = getattr(resource, "with_raw_response", None)
    create_reply = (raw or resource).create
    if inspect.iscoroutinefunction(create_reply):
        reply = await create_reply(**request)
    else:
        # The SDK wraps its async `create`, so that it may look like a sync one.
        reply = await in_thread(lambda: create_reply(**request))
        if inspect.isawaitable(reply):
            reply = await reply
    headers = getattr(reply, "headers", None) or {}
    elapsed = getattr(reply, "elapsed", None)
    if raw is not None:
        reply = reply.parse()
        if inspect.isawaitable(reply):
            reply = await reply
    latency_s = elapsed.total_seconds() if isinstance(elapsed, timedelta) else None
    return reply, headers, latency_s


async def create_throttled(
    client: Any,
    api: Api,
    request: Mapping[str, Any],
    *,
    throttle: Throttle,
    timeout_s: float | None,
) -> Reply:
    """Send a request with an injected client as `create` does, throttled and timed."""
    # Its transport is the user's: only what it raises shows a refusal.
    async with throttle:
        try:
            async with asyncio.timeout(timeout_s):
                reply = await create(client, api, request)
        except Exception as error:
            status = getattr(error, "status_code", None)
            if isinstance(status, int):
                response = getattr(error, "response", None)
                throttle.observe(status, getattr(response, "headers", None) or {})
            raise
        throttle.observe(200, reply[1])
        return reply


def check_sdk() -> None:
    """Raise `ComponentError` if the package `openai` is not installed."""
    # Found, not imported: the import is slow, and a plan sends no request.
    if find_spec("openai") is None:
        raise ComponentError(
            "openai is not installed: pip install 'themis-flows[openai]'"
        )


async def _close_with_loop(
    client: Any,
    clients: _Clients,
    key: _Key,
) -> AsyncGenerator[None, None]:
    """Stay suspended while the loop runs, and close the client when it shuts down."""
    # `asyncio.run` closes the async generators of its loop: no other hook is as late.
    try:
        yield
    finally:
        del clients[key]
        await client.close()


@atexit.register
def _close_at_exit() -> None:
    """Close the clients of loops that run until the process ends."""
    # Prefect's tasks share such a loop, which nobody shuts down.
    if os.getpid() != _PROCESS:
        return  # a fork inherits no threads, and so no running loop
    closing = []
    for loop, clients in list(_CLIENTS.items()):
        if not loop.is_running():
            continue
        for _, lifetime in list(clients.values()):
            future = asyncio.run_coroutine_threadsafe(lifetime.aclose(), loop)
            closing.append(future)
    # A server that does not answer must not hold up the exit.
    wait(closing, _CLOSING_S)
