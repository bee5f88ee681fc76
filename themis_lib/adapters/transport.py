"""How requests travel to a provider: throttled, for a limited time, over connections
that are kept open.
"""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import Any
from urllib.request import getproxies

import httpx2

from themis_lib.adapters.faults import is_final
from themis_lib.adapters.limits import Throttle

#: A pool looks at all of its connections for each request, so that many are kept in
#: several.
_CONNECTIONS_EACH = 8


class ThrottledClient(httpx2.AsyncClient):
    """Sends each request when the provider's limits allow it, and gives up on one that
    takes too long.
    """

    def __init__(
        self,
        throttle: Throttle,
        *,
        timeout_s: float,
    ) -> None:
        options: dict[str, Any] = {
            "limits": httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=None,
            )
        }
        if not getproxies():
            options = {
                "transport": _Pools(-(-throttle.most // _CONNECTIONS_EACH), **options)
            }
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
        """The reply. Raises `httpx2.ReadTimeout` where the whole of it took too long,
        also if it came bit by bit.
        """
        async with self._throttle:
            try:
                async with asyncio.timeout(self._timeout_s):
                    response = await super().send(request, **options)
            except TimeoutError as error:
                raise httpx2.ReadTimeout(
                    f"no whole reply after {self._timeout_s:g} s", request=request
                ) from error
            self._throttle.observe(response.status_code, response.headers)
            if is_final(response):
                response.headers["x-should-retry"] = (
                    "false"  # the SDK's word for leaving it at that
                )
            return response


class _Pools(httpx2.AsyncBaseTransport):
    """Several pools of connections, asked in turn."""

    def __init__(
        self,
        count: int,
        **options: Any,
    ) -> None:
        context = httpx2.create_ssl_context()
        self._pools = [
            httpx2.AsyncHTTPTransport(
                verify=context,
                **options,
            )
            for _ in range(count)
        ]
        self._next = cycle(self._pools)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await next(self._next).handle_async_request(request)

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()
