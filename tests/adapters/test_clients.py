"""Clients of the OpenAI SDK: one per loop and provider, and those that are injected."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import openai as sdk
import pytest

from tests.support.asking import ask, outputs, questions, rows
from tests.support.new_process import printed_in_new_process
from tests.support.provider_server import ProviderServer, refused
from themis_lib.adapters import openai
from themis_lib.adapters.clients import client_for, create, create_throttled, post
from themis_lib.adapters.endpoint import Address
from themis_lib.adapters.limits import Limits, Throttle

REQUESTS: dict[Any, dict[str, Any]] = {
    "responses": {"model": "gpt", "input": "2+2"},
    "chat_completions": {
        "model": "gpt",
        "messages": [{"role": "user", "content": "2+2"}],
    },
}
MODES = list(REQUESTS)


def address(server: ProviderServer, **settings: Any) -> Address:
    return Address(**{"base_url": server.url, "api_key": "sk-test-1", **settings})


def test_one_client_serves_a_provider_on_a_loop(server: ProviderServer) -> None:
    """Another address, key or throttle has another client."""

    async def work() -> None:
        throttle, other = Throttle(Limits(4)), Throttle(Limits(4))
        first = await client_for(address(server), throttle)

        assert first is await client_for(address(server), throttle)
        assert first is not await client_for(address(server), other)
        others = {"api_key": "sk-other-1", "timeout_s": 1.0, "max_retries": 0}
        for name, value in others.items():
            changed = await client_for(address(server, **{name: value}), throttle)
            assert first is not changed

    asyncio.run(work())


def test_client_is_closed_with_its_loop(server: ProviderServer) -> None:
    """The next loop has a new one."""
    throttle = Throttle(Limits(4))

    async def work() -> Any:
        client = await client_for(address(server), throttle)
        await post(client, "responses", REQUESTS["responses"])
        assert not client.is_closed()
        return client

    first, second = asyncio.run(work()), asyncio.run(work())

    assert first is not second
    assert first.is_closed()
    assert second.is_closed()


def test_two_runs_on_one_loop_share_a_client(server: ProviderServer) -> None:
    """The second run sends its requests over the connection of the first."""
    generator = openai("gpt", base_url=server.url, max_concurrency=1)

    async def twice() -> list[Any]:
        clients = []
        for number in range(2):
            await questions(generator, inputs=[f"run {number}"]).run_async()
            found = generator._api_endpoint.address
            clients.append(await client_for(found, generator._find_throttle()))
        return clients

    first, second = asyncio.run(twice())

    assert first is second
    assert first.is_closed()
    assert ["re: third"] == outputs(questions(generator, inputs=["third"]).run())
    assert 3 == len(server.requests)


def test_client_sends_what_the_address_says(server: ProviderServer) -> None:
    """Key, headers and the query of the address; a server may check no key."""

    async def work() -> None:
        throttle = Throttle(Limits(4))
        known = address(
            server,
            base_url=f"{server.url}?api-version=1#part",
            headers=(("X-Team", "blue"),),
        )
        for one in (known, address(server, api_key="")):
            client = await client_for(one, throttle)
            await post(client, "responses", REQUESTS["responses"])

    asyncio.run(work())

    first, second = server.requests
    assert ("/v1/responses", "api-version=1") == (first.path, first.query)
    assert ("Bearer sk-test-1", "blue") == (
        first.headers["authorization"],
        first.headers["x-team"],
    )
    assert ("Bearer none", "") == (second.headers["authorization"], second.query)


@pytest.mark.parametrize("max_retries", [0, 2])
def test_client_tries_again_as_often_as_the_address_says(
    max_retries: int, server: ProviderServer
) -> None:
    """The SDK repeats a request that may succeed."""
    server.script = lambda attempt, body: refused("0.01", status=503)

    async def work() -> None:
        known = address(server, max_retries=max_retries)
        client = await client_for(known, Throttle(Limits(4)))
        with pytest.raises(sdk.InternalServerError):
            await post(client, "responses", REQUESTS["responses"])

    asyncio.run(work())

    assert 1 + max_retries == len(server.requests)


@pytest.mark.parametrize("api_mode", MODES)
def test_post_returns_reply_headers_and_latency(
    api_mode: Any, server: ProviderServer
) -> None:
    """The reply is the JSON that the provider sent."""
    request = REQUESTS[api_mode]

    async def work() -> Any:
        client = await client_for(address(server), Throttle(Limits(4)))
        return await post(client, api_mode, request)

    reply, headers, latency_s = asyncio.run(work())

    assert "gpt-2026" == reply["model"]
    assert "req-1" == headers["x-request-id"]
    assert latency_s > 0
    assert [request] == server.bodies


def test_extra_body_goes_over_the_fields_of_the_request(server: ProviderServer) -> None:
    """As in the SDK: a field that the user writes is the one that is sent."""
    request = {**REQUESTS["responses"], "extra_body": {"model": "mine", "top_k": 3}}

    async def work() -> None:
        client = await client_for(address(server), Throttle(Limits(4)))
        await post(client, "responses", request)

    asyncio.run(work())

    assert [{"model": "mine", "input": "2+2", "top_k": 3}] == server.bodies
    assert "extra_body" in request, "the caller's request is left as it is"


def with_sdk_client(
    kind: str, server: ProviderServer, work: Callable[[Any], Awaitable[Any]]
) -> Any:
    """Return the result of some work with a client of the SDK, closed after it."""
    client = getattr(sdk, kind)(api_key="sk-mine-1", base_url=server.url)

    async def run() -> Any:
        try:
            return await work(client)
        finally:
            closing = client.close()
            if inspect.isawaitable(closing):
                await closing

    return asyncio.run(run())


@pytest.mark.parametrize("api_mode", MODES)
@pytest.mark.parametrize("kind", ["OpenAI", "AsyncOpenAI"])
def test_clients_of_the_sdk_are_used_as_they_are(
    kind: str, api_mode: Any, server: ProviderServer
) -> None:
    """With their address and key; many requests are in flight, even of a sync one."""
    server.delay_s = 0.05

    async def work(client: Any) -> Any:
        generator = openai("gpt", client=client, api_mode=api_mode, max_concurrency=4)
        assert generator.settings()["base_url"] == server.url
        return await questions(generator, 8).run_async()

    result = with_sdk_client(kind, server, work)

    assert [f"re: question {number}" for number in range(8)] == outputs(result)
    assert {"Bearer sk-mine-1"} == {
        request.headers["authorization"] for request in server.requests
    }
    assert 4 == server.most_in_flight
    for row in rows(result):
        assert (row.transport or {})["request_id"].startswith("req-")


@pytest.mark.parametrize("api_mode", MODES)
@pytest.mark.parametrize("kind", ["OpenAI", "AsyncOpenAI"])
def test_create_returns_the_reply_of_the_sdk_with_its_headers(
    kind: str, api_mode: Any, server: ProviderServer
) -> None:
    """A parsed reply has lost its headers; the raw one still has them."""
    request = REQUESTS[api_mode]

    reply, headers, latency_s = with_sdk_client(
        kind, server, lambda client: create(client, api_mode, request)
    )

    assert "gpt-2026" == reply.model
    assert "req-1" == headers["x-request-id"]
    assert latency_s is not None
    assert latency_s > 0


class Reply(SimpleNamespace):
    """What a fake client returns."""


def answering(reply: Any, *, is_async: bool, **more: Any) -> Any:
    """Return a client of Responses whose `create` is sync or async."""

    async def create_later(**request: Any) -> Any:
        return reply

    def create_now(**request: Any) -> Any:
        return reply

    resource = SimpleNamespace(create=create_later if is_async else create_now, **more)
    return SimpleNamespace(responses=resource)


@pytest.mark.parametrize("is_async", [True, False])
def test_fake_client_needs_nothing_but_create(is_async: bool) -> None:
    """Headers and latency are read where its reply has them."""
    plain, full = (
        Reply(output_text="4"),
        Reply(output_text="4", headers={"a": "b"}, elapsed=timedelta(seconds=0.5)),
    )

    assert (plain, {}, None) == asyncio.run(
        create(answering(plain, is_async=is_async), "responses", {})
    )
    assert (full, {"a": "b"}, 0.5) == asyncio.run(
        create(answering(full, is_async=is_async), "responses", {})
    )


def test_elapsed_that_is_no_duration_is_no_latency() -> None:
    """A fake's attribute may be anything."""
    client = answering(Reply(elapsed=3), is_async=True)

    assert asyncio.run(create(client, "responses", {}))[2] is None


def test_injected_client_is_read_like_any_other() -> None:
    """Text, usage and the headers of a fake are in the row."""
    reply = Reply(
        id="resp-1",
        output_text="4",
        usage=SimpleNamespace(input_tokens=3, output_tokens=1),
        headers={"x-ratelimit-limit-requests": "60"},
    )

    result = ask(openai("gpt-fake", client=answering(reply, is_async=True)))

    assert "4" == result.final_output
    assert result.usage is not None
    assert (3, 1) == (result.usage.input_tokens, result.usage.output_tokens)
    assert {
        "response_id": "resp-1",
        "headers": {"x-ratelimit-limit-requests": "60"},
    } == result.transport


def test_injected_client_is_given_up_after_the_timeout() -> None:
    """Its place is free for another request then."""

    class Silent:
        async def create(self, **request: Any) -> Any:
            await asyncio.Event().wait()

    client, throttle = SimpleNamespace(responses=Silent()), Throttle(Limits(1))

    async def work() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await create_throttled(
                    client, "responses", {}, throttle=throttle, timeout_s=0.05
                )

    asyncio.run(work())


def test_refusals_of_an_injected_client_count_for_the_throttle(
    server: ProviderServer,
) -> None:
    """After most replies are refusals, fewer requests are in flight."""
    server.script = lambda attempt, body: refused("0.01")
    throttle = Throttle(Limits(4))

    async def work() -> None:
        async with sdk.AsyncOpenAI(
            api_key="sk-mine-1", base_url=server.url, max_retries=0
        ) as client:
            for _ in range(11):
                with pytest.raises(sdk.RateLimitError):
                    await create_throttled(
                        client,
                        "responses",
                        REQUESTS["responses"],
                        throttle=throttle,
                        timeout_s=None,
                    )

    asyncio.run(work())

    assert 2 == throttle.width


def test_good_replies_of_an_injected_client_restore_the_throttle() -> None:
    """Each of them admits one request more."""
    throttle = Throttle(Limits(4))
    client = answering(Reply(output_text="4"), is_async=True)

    async def work() -> list[int]:
        for _ in range(11):
            throttle.observe(429, {"retry-after": "0.01"})
        widths = [throttle.width]
        for _ in range(2):
            await create_throttled(
                client, "responses", {}, throttle=throttle, timeout_s=None
            )
            widths.append(throttle.width)
        return widths

    assert [2, 3, 4] == asyncio.run(work())


def test_missing_packages_are_named() -> None:
    """The adapters import without the SDK; using one says what to install."""
    program = (
        "import sys\n"
        "missing = ('anthropic', 'openai', 'aiolimiter', 'jsonschema', 'httpx', 'httpx2')\n"
        "for name in missing:\n"
        "    sys.modules[name] = None\n"
        "from themis_lib import ComponentError\n"
        "from themis_lib.adapters import anthropic, llama, openai, vllm\n"
        "for adapter in (anthropic, openai):\n"
        "    try:\n"
        "        adapter('name', api_key='sk-test-1').check()\n"
        "    except ComponentError as error:\n"
        "        print(error)\n"
    )

    said = printed_in_new_process(program)

    assert [
        f"{name} is not installed: pip install 'themis-flows[{name}]'"
        for name in ("anthropic", "openai")
    ] == said.splitlines()


def test_missing_connections_are_named() -> None:
    """An SDK that was installed by itself lacks what carries its requests."""
    program = (
        "import sys\n"
        "sys.modules['aiohttp'] = None\n"
        "from themis_lib import ComponentError\n"
        "from themis_lib.adapters import openai\n"
        "try:\n"
        "    openai('name', api_key='sk-test-1').check()\n"
        "except ComponentError as error:\n"
        "    print(error)\n"
    )

    said = printed_in_new_process(program)

    assert (
        "aiohttp is not installed: pip install 'themis-flows[openai]'" == said.strip()
    )


def test_client_of_a_loop_that_never_ends_is_closed_at_exit() -> None:
    """Such a loop is that of an orchestrator, which nobody shuts down."""
    program = (
        "import asyncio, atexit, threading\n"
        "held = []\n"
        "atexit.register(lambda: print(held[0].is_closed()))\n"
        "from themis_lib.adapters.clients import client_for\n"
        "from themis_lib.adapters.endpoint import Address\n"
        "from themis_lib.adapters.limits import Limits, Throttle\n"
        "loop = asyncio.new_event_loop()\n"
        "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "making = client_for(Address('http://localhost:1/v1'), Throttle(Limits(1)))\n"
        "held.append(asyncio.run_coroutine_threadsafe(making, loop).result())\n"
        "print(held[0].is_closed())\n"
    )

    said = printed_in_new_process(program)

    assert ["False", "True"] == said.split()
