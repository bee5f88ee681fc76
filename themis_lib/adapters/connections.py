"""Kept connections of aiohttp, as the transport of an SDK's HTTP client.

An SDK is made with httpx, which parses HTTP in Python and searches all of its
connections at each request. aiohttp takes a quarter of the processor time for the same
requests.
"""

from __future__ import annotations

import asyncio
import io
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any
from weakref import WeakSet

import aiohttp
import yarl

#: Idle connections are closed after so long, as httpx does.
_KEPT_S = 5.0
#: The most bytes of one header of a reply: proxies set longer ones than aiohttp allows.
_HEADER_BYTES = 64 * 1024
#: From this size on, a body is given to aiohttp as a file, which it sends piece by piece.
_LARGE_BODY_BYTES = 2**20
#: What aiohttp adds to requests, which the HTTP client has added where it is wanted.
_ADDED_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Connections:
    """A transport for the asynchronous clients of `http`, which is `httpx` or `httpx2`.

    There are never more connections than requests in flight. Replies are read whole.
    Proxies of the environment are not used.
    """

    def __init__(self, http: Any) -> None:
        self._http = http
        # That of the client, so that it trusts the same certificates.
        self._context = http.create_ssl_context()
        # As its transport does: some servers take no connection that names no protocol.
        self._context.set_alpn_protocols(["http/1.1"])
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request and return its reply.

        Raises the errors of the client's own transport.
        """
        if self._session is None:
            self._session = self._open_session()
        began = time.perf_counter()
        with _as_errors_of(self._http, request):
            sent = self._session.request(
                request.method,
                _address(request.url),
                headers=_headers_of(request),
                data=_body_of(self._http, request),
                allow_redirects=False,
                timeout=_timeout(request.extensions.get("timeout", {}).get("connect")),
            )
            async with sent as reply:
                content = await reply.read()
        response = self._http.Response(
            reply.status,
            headers=reply.raw_headers,
            content=content,
            request=request,
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": (reply.reason or "").encode(),
            },
        )
        response.elapsed = timedelta(seconds=time.perf_counter() - began)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Connections:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _open_session(self) -> aiohttp.ClientSession:
        # Made in the loop that it belongs to.
        connector = _Connector(
            # The throttle alone bounds the requests.
            limit=0,
            ssl=self._context,
            keepalive_timeout=_KEPT_S,
            # The system's, whatever else is installed.
            resolver=aiohttp.ThreadedResolver(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            # The HTTP client decodes bodies and keeps cookies itself.
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED_HEADERS,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )


class _Connector(aiohttp.TCPConnector):
    """A connector that uses no connection which a server has closed.

    aiohttp learns of that from the loop, which may have had no time to look.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Not their transports: those of uvloop take no weak references under TLS.
        self._used: WeakSet[asyncio.BaseProtocol] = WeakSet()

    async def connect(self, *arguments: Any, **options: Any) -> Any:
        """Return a connection: an idle one, or else a new one."""
        while True:
            connection: Any = await super().connect(*arguments, **options)
            protocol = connection.protocol
            # What arrives on a new one is no end: TLS sends tickets.
            if protocol not in self._used:
                self._used.add(protocol)
                return connection
            if not _has_arrivals(connection.transport):
                return connection
            connection.close()


def _has_arrivals(transport: asyncio.BaseTransport) -> bool:
    """Return whether a connection has something to read: its end, if it was idle."""
    socket = transport.get_extra_info("socket")
    if socket is None:
        return False
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


def _address(url: Any) -> yarl.URL:
    # The HTTP client has made a header of the user.
    return _parsed(str(url.copy_with(userinfo=b"") if url.userinfo else url))


# Cached: a run sends its requests to a few addresses.
@lru_cache(maxsize=64)
def _parsed(address: str) -> yarl.URL:
    return yarl.URL(address, encoded=True)


@lru_cache(maxsize=64)
def _timeout(connect_s: float | None) -> aiohttp.ClientTimeout:
    # Of the name's address, the connection and TLS together. What a whole reply may
    # take, the throttled client bounds.
    return aiohttp.ClientTimeout(total=None, connect=connect_s)


def _headers_of(request: Any) -> list[tuple[str, str]]:
    headers = []
    for name, value in request.headers.raw:
        # Seldom another: to find it out, the HTTP client decodes all headers.
        encoding = "ascii" if value.isascii() else request.headers.encoding
        headers.append((name.decode("ascii"), value.decode(encoding)))
    return headers


def _body_of(http: Any, request: Any) -> Any:
    try:
        content = request.content
    except http.RequestNotRead:
        # Files, which are sent as they are read.
        return request.stream
    if len(content) >= _LARGE_BODY_BYTES:
        return io.BytesIO(content)
    return content or None


@contextmanager
def _as_errors_of(http: Any, request: Any) -> Iterator[None]:
    """Raise what aiohttp raises as the error of an HTTP library."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise http.ConnectTimeout(str(error), request=request) from error
    except (aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch) as error:
        raise http.ConnectError(str(error), request=request) from error
    except aiohttp.ServerTimeoutError as error:
        raise http.ReadTimeout(str(error), request=request) from error
    except (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError) as error:
        raise http.ReadError(str(error), request=request) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise http.UnsupportedProtocol(str(error), request=request) from error
    # A header that could not be sent, such as one of two lines.
    except ValueError as error:
        raise http.LocalProtocolError(str(error), request=request) from error
    # A reply that ends too early or is no HTTP.
    except aiohttp.ClientError as error:
        raise http.RemoteProtocolError(str(error), request=request) from error
