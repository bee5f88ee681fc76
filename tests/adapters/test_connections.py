"""What carries requests does what the HTTP client's own transport does, for less."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from tests.support.provider_server import ProviderServer
from tests.support.tls import write_certificate
from themis_lib.adapters.connections import Connections

HTTP = pytest.mark.parametrize("http", [httpx, httpx2])
JSON = {"model": "gpt", "input": "hi"}


class Wire:
    """A server that takes one request a connection as bytes, and answers with bytes."""

    def __init__(self, reply: bytes = b"", **options: Any) -> None:
        self.reply = reply
        self.received: list[bytes] = []
        self.protocols: list[str | None] = []
        self.closed = threading.Event()
        self._options = options
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Wire:
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        # In its own thread: there, a connection may end at the same moment.
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, **self._options
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.received.append(head + await reader.readexactly(length))
        encrypted = writer.get_extra_info("ssl_object")
        if encrypted is not None:
            self.protocols.append(encrypted.selected_alpn_protocol())
        writer.write(self.reply)
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.closed.set()


def reply_of(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.asynccontextmanager
async def client_of(http: Any, *, ours: bool, **options: Any) -> Any:
    """Yield a client of an HTTP library, with our transport or its own."""
    transport = Connections(http) if ours else http.AsyncHTTPTransport()
    async with http.AsyncClient(transport=transport, **options) as client:
        yield client


def outcome(
    http: Any,
    url: str,
    *,
    ours: bool,
    send: Callable[[Any, str], Awaitable[Any]] | None = None,
) -> Any:
    """Return the reply to a request, or the class of the error that it ends with."""

    async def work() -> Any:
        async with client_of(http, ours=ours) as client:
            try:
                if send is not None:
                    return await send(client, url)
                return await client.post(url, json=JSON)
            except http.HTTPError as error:
                return type(error)

    return asyncio.run(work())


@HTTP
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"220 smtp.example.org ESMTP\r\n\r\n",
        reply_of(b"no gzip", "Content-Encoding: gzip"),
    ],
    ids=["nothing", "half", "half a chunk", "another protocol", "no gzip"],
)
def test_broken_reply_is_the_error_of_the_client(http: Any, reply: bytes) -> None:
    """The same as of its own transport: SDKs and faults tell them apart."""
    with Wire(reply) as wire:
        url = f"http://127.0.0.1:{wire.port}/v1"

        expected, actual = (outcome(http, url, ours=ours) for ours in (False, True))

    assert issubclass(expected, http.RequestError)
    assert expected is actual


@HTTP
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/v1", "http://provider.invalid/v1"]
)
def test_provider_that_is_not_there_is_the_error_of_the_client(
    url: str, http: Any, free_port: Callable[[], int]
) -> None:
    url = url.format(port=free_port())

    assert http.ConnectError is outcome(http, url, ours=True)


@HTTP
def test_header_that_cannot_be_sent_is_the_error_of_the_client(http: Any) -> None:
    """Nothing of it is sent: the second line would be a header by itself."""

    async def send(client: Any, url: str) -> Any:
        return await client.post(url, json=JSON, headers={"X-Team": "a\r\nX-Other: b"})

    with Wire(reply_of(b"{}")) as wire:
        url = f"http://127.0.0.1:{wire.port}/v1"

        expected, actual = (
            outcome(http, url, ours=ours, send=send) for ours in (False, True)
        )

    assert http.LocalProtocolError is expected is actual
    assert [] == wire.received


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that another waits for ever."""
    with contextlib.ExitStack() as sockets:
        server = sockets.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@HTTP
def test_connecting_has_its_timeout(http: Any, full_port: int) -> None:
    async def send(client: Any, url: str) -> Any:
        timeout = http.Timeout(30, connect=0.1)
        return await client.post(url, json=JSON, timeout=timeout)

    url = f"http://127.0.0.1:{full_port}/v1"

    assert http.ConnectTimeout is outcome(http, url, ours=True, send=send)


@HTTP
def test_request_is_the_same_to_the_byte(http: Any) -> None:
    """Headers, their order and case, the address as it is written, and the body."""

    async def send(client: Any, url: str) -> Any:
        headers = {"X-Stainless-Lang": "python", "Authorization": "Bearer sk"}
        await client.get(f"{url}/models", headers=headers)
        # Some servers tell %2F and / apart.
        await client.post(f"{url}/a%2Fb?q=a+b%20c", json=JSON, headers=headers)
        # A file is sent as it is read.
        files = {"file": ("a.jsonl", b"{}\n" * 50_000)}
        headers["Content-Type"] = "multipart/form-data; boundary=edge"
        await client.post(f"{url}/files", files=files, headers=headers)
        return await client.post(url.replace("//", "//me:p%40w@"))

    received = []
    with Wire(reply_of(b"{}", "Connection: close")) as wire:
        for ours in (False, True):
            outcome(http, f"http://127.0.0.1:{wire.port}/v1", ours=ours, send=send)
            received.append(list(wire.received))
            wire.received.clear()

    assert 4 == len(received[0])
    assert received[0] == received[1]


@HTTP
def test_reply_is_that_of_the_client(http: Any) -> None:
    """Decoded, with every header, its reason, and the time it took."""
    headers = ["Content-Encoding: gzip", "X-Request-ID: r1", f"X-Long: {'x' * 20_000}"]
    body = gzip.compress(b'{"a": 1}')
    with Wire(reply_of(body, *headers, status="418 I'm a teapot")) as wire:
        reply = outcome(http, f"http://127.0.0.1:{wire.port}/v1", ours=True)

    assert {"a": 1} == reply.json()
    assert (418, "I'm a teapot") == (reply.status_code, reply.reason_phrase)
    assert ("r1", 20_000) == (
        reply.headers["x-request-id"],
        len(reply.headers["x-long"]),
    )
    assert 0 < reply.elapsed.total_seconds() < 30


@HTTP
def test_cookies_are_kept_once(http: Any) -> None:
    """By the client: a balancer that sets one finds it in the next request."""

    async def send(client: Any, url: str) -> Any:
        await client.get(url)
        return await client.get(url)

    with Wire(reply_of(b"", "Set-Cookie: node=7", "Connection: close")) as wire:
        outcome(http, f"http://localhost:{wire.port}/v1", ours=True, send=send)

    assert [0, 1] == [head.lower().count(b"node=7") for head in wire.received]


@HTTP
def test_connection_that_the_server_closed_is_not_used_again(http: Any) -> None:
    """Not even where it was closed while the loop had no time to look."""

    async def send(client: Any, url: str) -> Any:
        await client.post(url, json=JSON)
        assert wire.closed.wait(10)
        return await client.post(url, json=JSON)

    with Wire(reply_of(b"{}")) as wire:
        reply = outcome(http, f"http://127.0.0.1:{wire.port}/v1", ours=True, send=send)

    assert 200 == reply.status_code
    assert 2 == len(wire.received)


class BareTransport:
    """A transport that takes no weak references, as uvloop's under TLS."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BareLoop(asyncio.SelectorEventLoop):
    """An event loop that gives protocols a `BareTransport`."""

    async def create_connection(self, factory: Any, *args: Any, **options: Any) -> Any:
        def make_protocol() -> Any:
            protocol = factory()
            made = protocol.connection_made
            protocol.connection_made = lambda transport: made(BareTransport(transport))
            return protocol

        return await super().create_connection(make_protocol, *args, **options)


def test_event_loop_may_have_transports_of_its_own(server: ProviderServer) -> None:
    """Its connections are used again."""

    async def work() -> list[int]:
        connections = Connections(httpx)
        async with httpx.AsyncClient(transport=connections) as client:
            url = f"{server.url}/chat/completions"
            return [(await client.post(url, json=JSON)).status_code for _ in range(2)]

    with asyncio.Runner(loop_factory=BareLoop) as runner:
        assert [200, 200] == runner.run(work())


@HTTP
def test_redirected_request_keeps_its_body(http: Any) -> None:
    """On a connection of its own, where the server has closed the first one."""

    async def send(client: Any, url: str) -> Any:
        wire.reply = reply_of(b"", f"Location: {url}/2", status="307 Moved")
        reply = await client.post(url, json=JSON, follow_redirects=False)
        wire.reply = reply_of(b"{}")
        assert wire.closed.wait(10)
        return await client.send(reply.next_request)

    with Wire() as wire:
        reply = outcome(http, f"http://127.0.0.1:{wire.port}/v1", ours=True, send=send)

    assert 200 == reply.status_code
    bodies = [received.split(b"\r\n\r\n")[1] for received in wire.received]
    assert bodies[0] == bodies[1] != b""


@HTTP
def test_large_body_is_sent_without_a_warning(http: Any) -> None:
    """As images are: aiohttp warns of bytes that block the loop."""
    body = b"x" * 2**21

    async def send(client: Any, url: str) -> Any:
        return await client.post(url, content=body)

    with Wire(reply_of(b"{}", "Connection: close")) as wire, warnings.catch_warnings():
        warnings.simplefilter("error")
        reply = outcome(http, f"http://127.0.0.1:{wire.port}/v1", ours=True, send=send)

    assert 200 == reply.status_code
    assert wire.received[0].endswith(body)
    assert b"content-length: 2097152" in wire.received[0][:500].lower()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Wire, Path]]:
    """A server with a certificate that nobody trusts, and the file of it."""
    certificate, key = write_certificate(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    with Wire(reply_of(b"{}"), ssl=context) as wire:
        yield wire, certificate


@HTTP
def test_certificates_are_those_of_the_environment(
    tls: tuple[Wire, Path], http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the client's own transport reads them."""
    wire, certificate = tls
    url = f"https://127.0.0.1:{wire.port}/v1"
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    assert http.ConnectError is outcome(http, url, ours=True)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert 200 == outcome(http, url, ours=True).status_code
    # Some servers take no connection that names no protocol.
    assert ["http/1.1"] == wire.protocols


def calls_of_requests(server: ProviderServer, *, ours: bool) -> float:
    """Return the calls of Python functions that a request takes, warmed up."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event == "call"

    async def work() -> None:
        async with client_of(httpx2, ours=ours) as client:
            url = f"{server.url}/responses"
            await client.post(url, json=JSON)
            # Of this thread alone: the server's is another.
            sys.setprofile(count)
            try:
                await asyncio.gather(*(client.post(url, json=JSON) for _ in range(20)))
            finally:
                sys.setprofile(None)

    asyncio.run(work())
    return counted / 20


def test_requests_take_half_of_the_work(server: ProviderServer) -> None:
    """Counted in calls: the client's own transport parses HTTP in Python."""
    expected, actual = (calls_of_requests(server, ours=ours) for ours in (False, True))

    assert actual <= expected / 2
