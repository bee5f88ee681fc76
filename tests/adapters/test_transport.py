"""How requests travel to a provider: throttled, timed out, over kept connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from tests.support.provider_server import (
    CUT,
    DRIP,
    SILENT,
    Fault,
    ProviderServer,
    refused,
)
from themis_lib.adapters.limits import Limits, Throttle
from themis_lib.adapters.transport import throttled_client
from themis_lib.errors import FatalError

ThrottledClient = throttled_client(httpx2)


@pytest.fixture(autouse=True)
def proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def send(
    server_url: str,
    count: int = 1,
    *,
    width: int = 4,
    timeout_s: float = 30.0,
) -> tuple[list[httpx2.Response], Throttle]:
    """Send so many requests at once; return the replies and the throttle."""
    throttle = Throttle(Limits(width))

    async def work() -> list[httpx2.Response]:
        async with ThrottledClient(throttle, timeout_s=timeout_s) as client:
            url = f"{server_url}/responses"
            requests = [
                client.post(url, json={"model": "gpt", "input": f"question {number}"})
                for number in range(count)
            ]
            return list(await asyncio.gather(*requests))

    return asyncio.run(work()), throttle


@pytest.mark.parametrize("width", [1, 3, 20])
def test_throttle_bounds_the_requests_in_flight(
    width: int, server: ProviderServer
) -> None:
    """As many as its width and no more."""
    server.delay_s = 0.05

    replies, _ = send(server.url, 2 * width, width=width)

    assert [200] * 2 * width == [reply.status_code for reply in replies]
    assert width == server.most_in_flight


@pytest.mark.parametrize("width", [1, 3])
def test_connections_are_kept_and_never_more_than_requests_in_flight(
    width: int, server: ProviderServer
) -> None:
    replies, _ = send(server.url, 10 * width, width=width)

    assert [200] * 10 * width == [reply.status_code for reply in replies]
    assert len({request.port for request in server.requests}) <= width


def test_a_request_that_failed_gives_its_connection_back(
    server: ProviderServer,
) -> None:
    """Its place is free for the next one, on a new connection."""
    server.script = lambda attempt, body: CUT if "question 0" in str(body) else None
    throttle = Throttle(Limits(1))

    async def work() -> list[int]:
        async with ThrottledClient(throttle, timeout_s=30.0) as client:
            statuses = []
            for number in (0, 1, 2):
                with contextlib.suppress(httpx2.TransportError):
                    reply = await client.post(
                        f"{server.url}/responses",
                        json={"model": "gpt", "input": f"question {number}"},
                    )
                    statuses.append(reply.status_code)
            return statuses

    assert [200, 200] == asyncio.run(work())
    assert 2 == len({request.port for request in server.requests})


@pytest.mark.parametrize("fault", [SILENT, DRIP], ids=["silent", "drips"])
def test_whole_reply_has_one_timeout(fault: Fault, server: ProviderServer) -> None:
    """Even if parts of it keep arriving."""
    server.script = lambda attempt, body: fault

    with pytest.raises(httpx2.ReadTimeout, match=r"^no whole reply after 0\.4 s$"):
        send(server.url, timeout_s=0.4)


def test_throttle_learns_from_every_reply(server: ProviderServer) -> None:
    """Most of the replies are refusals: half as many are in flight."""
    server.script = lambda attempt, body: refused("0.01")

    _, throttle = send(server.url, 11)

    assert 2 == throttle.width


@pytest.mark.parametrize(
    ("fault", "should_retry"),
    [
        (refused(code="insufficient_quota"), "false"),
        (refused(), None),
        (refused(status=500, code="insufficient_quota"), None),
        (Fault(), None),
    ],
    ids=["no quota", "too many requests", "server error", "good"],
)
def test_refusal_of_the_account_is_not_tried_again(
    fault: Fault, should_retry: str | None, server: ProviderServer
) -> None:
    """A header tells the SDK so, which would repeat every 429."""
    server.script = lambda attempt, body: fault

    ((reply,), _) = send(server.url)

    assert should_retry == reply.headers.get("x-should-retry")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "1m 30s"}, "90.000"),
        ({"Retry-After-Ms": "1582977605250"}, "0.000"),
        ({"Retry-After": "soon"}, "soon"),
        ({}, None),
    ],
)
def test_sdk_is_told_the_wait_in_seconds(
    headers: dict[str, str], seconds: str | None, server: ProviderServer
) -> None:
    """It reads no other forms; what nobody can read stays as it is."""
    server.script = lambda attempt, body: Fault(503, headers, {"error": {}})

    ((reply,), _) = send(server.url)

    assert seconds == reply.headers.get("retry-after")
    assert "retry-after-ms" not in reply.headers


def test_redirects_are_followed(server: ProviderServer) -> None:
    """A server may have moved its API."""
    server.script = lambda attempt, body: (
        Fault(status=307, headers={"Location": "/v2/responses"})
        if attempt == 1
        else None
    )

    ((reply,), _) = send(server.url)

    assert 200 == reply.status_code
    assert ["/v1/responses", "/v2/responses"] == [one.path for one in server.requests]


def test_proxy_of_the_environment_is_used(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request for another host arrives there."""
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))

    ((reply,), _) = send("http://provider.invalid/v1")

    assert 200 == reply.status_code
    assert ["provider.invalid"] == [one.headers["host"] for one in server.requests]


def test_lost_connection_is_an_error_of_the_client(
    free_port: Callable[[], int],
) -> None:
    """Its slot of the throttle is free again."""
    throttle = Throttle(Limits(1))
    url = f"http://127.0.0.1:{free_port()}/v1"

    async def work() -> Any:
        async with ThrottledClient(throttle, timeout_s=30.0) as client:
            for _ in range(2):
                with pytest.raises(httpx2.ConnectError):
                    await client.post(url)

    asyncio.run(work())


@pytest.mark.parametrize("first", [Fault(), refused(status=503), CUT])
def test_provider_that_was_there_may_come_back(
    first: Fault, free_port: Callable[[], int]
) -> None:
    """Once anybody has taken a request, a lost connection is for retries."""
    throttle = Throttle(Limits(1))
    provider = ProviderServer()
    provider.script = lambda attempt, body: first

    async def work() -> None:
        async with ThrottledClient(throttle, timeout_s=30, place="there") as client:
            with provider, contextlib.suppress(httpx2.TransportError):
                await client.post(
                    f"{provider.url}/responses", json={"model": "gpt", "input": "a"}
                )
            with pytest.raises(httpx2.ConnectError):
                await client.post(f"http://127.0.0.1:{free_port()}/v1")

    asyncio.run(work())


def test_provider_that_was_never_there_ends_the_run(
    free_port: Callable[[], int],
) -> None:
    """The slot of its request is free again, and nothing was charged."""
    throttle = Throttle(Limits(1))
    url = f"http://127.0.0.1:{free_port()}/v1"

    async def work() -> None:
        async with ThrottledClient(throttle, timeout_s=30, place="there") as client:
            for _ in range(2):
                with pytest.raises(FatalError, match=r"and there$") as raised:
                    await client.post(url)
                assert raised.value.is_free

    asyncio.run(work())


@pytest.mark.parametrize("http", [httpx, httpx2])
def test_client_is_of_the_library_that_its_sdk_takes(
    http: Any, server: ProviderServer
) -> None:
    """Either of them is throttled, timed out, and told when nobody is there."""
    client_class = throttled_client(http)
    throttle = Throttle(Limits(2))

    async def work() -> None:
        async with client_class(throttle, timeout_s=0.3) as client:
            assert isinstance(client, http.AsyncClient)
            server.script = lambda attempt, body: DRIP
            with pytest.raises(http.ReadTimeout, match=r"no whole reply after 0\.3 s"):
                await client.post(
                    f"{server.url}/responses", json={"model": "gpt", "input": "a"}
                )
        async with client_class(
            Throttle(Limits(2)), timeout_s=30, place="there"
        ) as client:
            with pytest.raises(FatalError, match="no answer from the provider"):
                await client.get("http://127.0.0.1:9")

    asyncio.run(work())


#: What an SDK, or a caller of the client itself, may give with a request.
GIVEN = {
    "whole address and headers": {
        "headers": [("x-one", "1"), ("accept", "text/plain")]
    },
    "other headers, the same client": {"headers": [("x-two", "2")]},
    "no time limit": {"headers": [("x-one", "1")], "timeout": None},
    "cookies": {"headers": [("x-one", "1")], "timeout": 5.0, "cookies": {"a": "b"}},
    "extensions": {
        "headers": [("x-one", "1")],
        "timeout": 5.0,
        "extensions": {"sni_hostname": "there"},
    },
    "parameters": {"headers": [("x-one", "1")], "timeout": 2, "params": {"v": "1"}},
    "headers by name": {"headers": {"x-one": "1"}, "timeout": 5.0},
    "nothing": {},
}


@pytest.mark.parametrize("http", [httpx, httpx2])
@pytest.mark.parametrize("timeout_s", [5.0, 600])
def test_requests_are_those_that_the_client_builds(http: Any, timeout_s: float) -> None:
    """Also after others, though parts of them are made once."""

    def parts(request: Any) -> Any:
        return (
            request.method,
            str(request.url),
            request.headers.raw,
            request.content,
            request.extensions,
        )

    async def work() -> None:
        client_class = throttled_client(http)
        ours = client_class(Throttle(Limits(1)), timeout_s=30)
        theirs = http.AsyncClient(timeout=30, follow_redirects=True)
        async with ours, theirs:
            for _ in range(2):
                for name, given in GIVEN.items():
                    options = {"timeout": timeout_s, "content": b"{}", **given}
                    asked = "post", "http://127.0.0.1:9/v1/chat"
                    expected = theirs.build_request(*asked, **options)
                    request = ours.build_request(*asked, **options)
                    assert parts(expected) == parts(request), name
                # What a server has set meanwhile is sent with the next ones.
                ours.cookies.set("node", "7")
                theirs.cookies.set("node", "7")

    asyncio.run(work())
