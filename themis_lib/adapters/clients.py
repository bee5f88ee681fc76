"""Clients of the providers' SDKs, one per event loop and provider, closed with the loop.

Every request passes the provider's throttle, including those that the SDK retries.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from themis_lib.adapters.endpoint import Address
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.loop_clients import client_of_loop
from themis_lib.adapters.requests import Api
from themis_lib.errors import ComponentError
from themis_lib.stages.calls import in_thread

#: The SDKs' own default, stated here because the throttled transport needs it too.
_REQUEST_TIMEOUT_S = 600.0
_PATHS = {
    "responses": "/responses",
    "chat_completions": "/chat/completions",
    "completions": "/completions",
    "messages": "/v1/messages",
}


@dataclass(frozen=True)
class Sdk:
    """A provider's SDK: its package, which is also its extra, and its client's class."""

    package: str
    client: str

    def load(self) -> Any:
        """Return the package, imported: that is slow."""
        return import_module(self.package)

    def load_http(self) -> Any:
        """Return the HTTP library that the SDK is made with: `httpx`, or `httpx2`."""
        return _http_of(self)


# Cached: it is asked for in each request.
@cache
def _http_of(sdk: Sdk) -> Any:
    client = sdk.load().DefaultAsyncHttpxClient.__base__
    return import_module(client.__module__)


OPENAI = Sdk("openai", "AsyncOpenAI")
ANTHROPIC = Sdk("anthropic", "AsyncAnthropic")

#: A reply, its headers, and its latency in seconds where the client reports one.
Reply: TypeAlias = tuple[Any, Mapping[str, str], float | None]


async def client_for(
    address: Address,
    throttle: Throttle,
    *,
    sdk: Sdk = OPENAI,
) -> Any:
    """Return the running loop's client of an SDK for an address and a throttle."""
    return await client_of_loop(
        (sdk, address, throttle),
        lambda: _make_client(sdk, address, throttle),
        lambda client: client.close(),
    )


async def post(
    client: Any,
    api: Api,
    request: Mapping[str, Any],
) -> Reply:
    """Send a request with a client of `client_for` and return the reply as JSON.

    The SDK's `create` sends the same bytes, but validating arguments and reply takes
    as long again.
    """
    headers = request.get("extra_headers")
    response = await client.post(
        # A whole address: the SDK would parse and join a path three times a request.
        f"{str(client.base_url).rstrip('/')}{_PATHS[api]}",
        cast_to=_sdk_of(api).load_http().Response,
        body=body_of(request),
        options={"headers": headers} if headers else {},
    )
    return response.json(), response.headers, response.elapsed.total_seconds()


def body_of(request: Mapping[str, Any]) -> JsonObject:
    """Return the JSON that is sent for the arguments of an SDK's `create`.

    >>> body_of({"model": "a", "extra_headers": {"b": "c"}, "extra_body": {"d": 1}})
    {'model': 'a', 'd': 1}
    """
    body = dict(request)
    body.pop("extra_headers", None)
    # Last, so that the user's own fields win, as in the SDK.
    body.update(body.pop("extra_body", {}))
    return body


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
    elif api == "messages":
        resource = client.messages
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


def check_sdk(sdk: Sdk = OPENAI) -> None:
    """Raise `ComponentError` if an SDK, or what carries its requests, is missing."""
    # Found, not imported: the import is slow, and a plan sends no request.
    for name in (sdk.package, "aiohttp"):
        if find_spec(name) is None:
            raise ComponentError(
                f"{name} is not installed: pip install 'themis-flows[{sdk.package}]'"
            )


def _sdk_of(api: Api) -> Sdk:
    return ANTHROPIC if api == "messages" else OPENAI


def _make_client(
    sdk: Sdk,
    address: Address,
    throttle: Throttle,
) -> Any:
    # Importing the SDK is slow: only a run that sends requests pays for it.
    package = sdk.load()
    from themis_lib.adapters.transport import throttled_client

    timeout_s = address.timeout_s or _REQUEST_TIMEOUT_S
    url = urlsplit(address.base_url)
    # The SDK appends paths to the address, so that its query is given separately.
    base_url = url._replace(
        query="",
        fragment="",
    ).geturl()
    credentials = {}
    if address.auth_token:
        credentials["auth_token"] = address.auth_token
    if address.api_key or not credentials:
        # An SDK requires a key, even for a server that checks none.
        credentials["api_key"] = address.api_key or "none"
    return getattr(package, sdk.client)(
        **credentials,
        base_url=base_url,
        default_query=dict(parse_qsl(url.query)),
        default_headers=dict(address.headers),
        timeout=timeout_s,
        max_retries=address.max_retries,
        http_client=throttled_client(sdk.load_http())(
            throttle,
            timeout_s=timeout_s,
            place=address.place,
        ),
    )
