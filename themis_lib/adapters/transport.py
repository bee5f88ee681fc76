"""How requests travel to a provider: throttled, timed out, over kept connections."""

from __future__ import annotations

import asyncio
from functools import cache, lru_cache
from typing import Any, ClassVar
from urllib.request import getproxies

from themis_lib.adapters.connections import Connections
from themis_lib.adapters.faults import is_final, unreachable
from themis_lib.adapters.first_request import open_for_others
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.wait_times import retry_after_s

#: How long the first connection to a provider may take.
_FIRST_CONNECTION_S = 5.0

#: Of how many addresses, and of how many headers, a client keeps what it has made of them.
_KEPT_FORMS = 64


@cache
def throttled_client(http: Any) -> Any:
    """Return the class of throttled clients of an HTTP library: `httpx` or `httpx2`.

    An SDK takes only clients of the library that it is made with.
    """
    return type("ThrottledClient", (_Throttled, http.AsyncClient), {"_http": http})


class _Throttled:
    """An HTTP client whose requests pass the provider's throttle and a timeout.

    With a `place`, an address that people know, the first request decides whether the
    provider can be reached at all. A subclass is an asynchronous client as well.
    """

    _http: ClassVar[Any]
    #: Of the asynchronous client.
    headers: Any
    cookies: Any

    def __init__(
        self,
        throttle: Throttle,
        *,
        timeout_s: float,
        place: str = "",
    ) -> None:
        options: JsonObject = {}
        if getproxies():
            # Only the client's own transport reads the proxies of the environment. The
            # throttle alone bounds its connections.
            options["limits"] = self._http.Limits(
                max_connections=None,
                max_keepalive_connections=None,
            )
        else:
            options["transport"] = Connections(self._http)
        super().__init__(  # type: ignore[call-arg]
            timeout=timeout_s,
            follow_redirects=True,
            **options,
        )
        self._throttle = throttle
        self._timeout_s = timeout_s
        self._place = place
        self._address_of = lru_cache(_KEPT_FORMS)(self._http.URL)
        self._merged_headers = lru_cache(_KEPT_FORMS)(self._merge_with_own)

    def build_request(
        self,
        method: str,
        url: Any,
        **options: Any,
    ) -> Any:
        """Build a request as the client does, but make each address and headers once."""
        headers: Any = options.get("headers")
        timeout: Any = options.get("timeout")
        # The SDK of OpenAI gives a whole address and a list of headers: few of each.
        is_of_sdk = (
            isinstance(url, str)
            and isinstance(headers, list)
            and isinstance(timeout, (float, int, self._http.Timeout))
            and not options.get("cookies")
            and not options.get("extensions")
        )
        if not is_of_sdk:
            return super().build_request(method, url, **options)  # type: ignore[misc]
        del options["timeout"]
        options["headers"] = self._merged_headers(tuple(headers))
        options["cookies"] = self.cookies
        options["extensions"] = {"timeout": self._http.Timeout(timeout).as_dict()}
        return self._http.Request(method, self._address_of(url), **options)

    def _merge_with_own(self, headers: tuple[tuple[str, str], ...]) -> Any:
        """Return the headers of every request, under those of one."""
        merged = self._http.Headers(self.headers)
        merged.update(headers)
        return merged

    async def send(
        self,
        request: Any,
        **options: Any,
    ) -> Any:
        """Send a request when the throttle admits it and return the reply.

        Raises the library's `ReadTimeout` if the whole reply takes too long, even if
        parts of it keep arriving; `FatalError` if nobody has ever taken a request.
        """
        http = self._http
        async with self._throttle:
            if self._place and not self._throttle.is_reached:
                _bound_connecting(request)
            try:
                # The client's own timeout only bounds the gap between two parts.
                async with asyncio.timeout(self._timeout_s):
                    response = await super().send(request, **options)  # type: ignore[misc]
            # Nobody takes it: refused, an unknown host, a certificate that is not valid.
            except (http.ConnectError, http.ConnectTimeout, http.ProxyError) as error:
                # A server that was there may come back: that is for retries.
                if not self._place or self._throttle.is_reached:
                    raise
                raise unreachable(error, self._place, request.url) from None
            except http.TransportError:
                self._throttle.is_reached = True
                raise
            except TimeoutError as error:
                self._throttle.is_reached = True
                raise http.ReadTimeout(
                    f"no whole reply after {self._timeout_s:g} s",
                    request=request,
                ) from error
            self._note_reply(response)
            return response

    def _note_reply(self, response: Any) -> None:
        """Learn from a reply how to pace, and tell the SDK whether and when to retry."""
        # A plain dict: the client's headers are decoded and searched at each look.
        headers = dict(response.headers.items())
        self._throttle.observe(response.status_code, headers)
        wait_s = retry_after_s(headers)
        if response.status_code >= 400 and wait_s is not None:
            # The SDK reads seconds and dates, and these by the local clock.
            response.headers.pop("retry-after-ms", None)
            response.headers["retry-after"] = f"{wait_s:.3f}"
        response.extensions["place"] = self._place
        if is_final(response):
            # The SDK retries every 429 unless this header says otherwise.
            response.headers["x-should-retry"] = "false"
        elif response.status_code == 429 or response.status_code >= 500:
            open_for_others()


def _bound_connecting(request: Any) -> None:
    """Give up a connection that takes too long, whatever a reply may take."""
    timeouts = dict(request.extensions.get("timeout", {}))
    connect_s = timeouts.get("connect")
    if connect_s is None or connect_s > _FIRST_CONNECTION_S:
        timeouts["connect"] = _FIRST_CONNECTION_S
    request.extensions["timeout"] = timeouts
