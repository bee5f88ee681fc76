"""How requests travel to a provider: throttled, timed out, over kept connections."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import Any
from urllib.request import getproxies

import httpx2

from themis_lib.adapters.faults import is_final
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.wait_times import retry_after_s

#: A pool searches all of its connections for each request: many connections are
#: therefore spread over several pools.
_CONNECTIONS_EACH = 8


class ThrottledClient(httpx2.AsyncClient):
    """An HTTP client whose requests pass the provider's throttle and a timeout."""

    def __init__(
        self,
        throttle: Throttle,
        *,
        timeout_s: float,
    ) -> None:
        options: JsonObject = {}
        # The throttle alone bounds the connections.
        limits = httpx2.Limits(
            max_connections=None,
            max_keepalive_connections=None,
        )
        if getproxies():
            # Only the client's own transport reads the proxies of the environment.
            options["limits"] = limits
        else:
            # Rounded up: one pool more rather than one connection too many in each.
            count = -(-throttle.most // _CONNECTIONS_EACH)
            options["transport"] = _Pools(count, limits=limits)
        super().__init__(
            timeout=timeout_s,
            follow_redirects=True,
            **options,
        )
        self._throttle = throttle
        self._timeout_s = timeout_s

    async def send(
        self,
        request: httpx2.Request,
        **options: Any,
    ) -> httpx2.Response:
        """Send a request when the throttle admits it and return the reply.

        Raises `httpx2.ReadTimeout` if the whole reply takes too long, even if parts of
        it keep arriving.
        """
        async with self._throttle:
            try:
                # The client's own timeout only bounds the gap between two parts.
                async with asyncio.timeout(self._timeout_s):
                    response = await super().send(request, **options)
            except TimeoutError as error:
                raise httpx2.ReadTimeout(
                    f"no whole reply after {self._timeout_s:g} s",
                    request=request,
                ) from error
            self._throttle.observe(response.status_code, response.headers)
            wait_s = retry_after_s(response.headers)
            if response.status_code >= 400 and wait_s is not None:
                # The SDK reads seconds and dates, and these by the local clock.
                response.headers.pop("retry-after-ms", None)
                response.headers["retry-after"] = f"{wait_s:.3f}"
            if is_final(response):
                # The SDK retries every 429 unless this header says otherwise.
                response.headers["x-should-retry"] = "false"
            return response


class _Pools(httpx2.AsyncBaseTransport):
    """Several pools of connections, used in turn."""

    def __init__(
        self,
        count: int,
        *,
        limits: httpx2.Limits,
    ) -> None:
        # One context for all: loading the certificates is the slow part of a pool.
        context = httpx2.create_ssl_context()
        self._pools = []
        for _ in range(count):
            pool = httpx2.AsyncHTTPTransport(
                verify=context,
                limits=limits,
            )
            self._pools.append(pool)
        self._next = cycle(self._pools)

    async def handle_async_request(
        self,
        request: httpx2.Request,
    ) -> httpx2.Response:
        return await next(self._next).handle_async_request(request)

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()
