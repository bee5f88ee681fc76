"""The first request of a generator goes ahead of the others."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.asking import ask, questions
from tests.support.provider_server import ProviderServer, refused
from themis_lib import FatalError, TransientError
from themis_lib.adapters import vllm
from themis_lib.adapters.first_request import FirstRequest


async def begun(gate: FirstRequest, count: int, fault: Exception | None) -> list[float]:
    """When each of some requests begins, the first ending after 0.2 s."""
    began: list[float] = []
    start = time.monotonic()

    async def request() -> None:
        async with gate:
            began.append(time.monotonic() - start)
            if len(began) == 1:
                await asyncio.sleep(0.2)
                if fault:
                    raise fault

    await asyncio.gather(*[request() for _ in range(count)], return_exceptions=True)
    return began


@pytest.mark.parametrize("fault", [None, TransientError("gone")], ids=str)
def test_others_follow_the_first(fault: Exception | None) -> None:
    """As soon as it has ended, if not for a reason that they share."""
    gate = FirstRequest()

    first, *others = asyncio.run(begun(gate, 4, fault))
    again = asyncio.run(begun(gate, 4, None))

    assert first < 0.1
    assert all(0.19 < other < 0.6 for other in others)
    assert max(again) < 0.1, "the gate stays open, on another loop too"


def test_nobody_waits_for_long() -> None:
    """A first answer that takes long has not been refused."""

    async def wait_for_the_first() -> float:
        gate = FirstRequest()
        first = asyncio.ensure_future(hold(gate))
        await asyncio.sleep(0)
        start = time.monotonic()
        async with gate:
            waited = time.monotonic() - start
        first.cancel()
        return waited

    async def hold(gate: FirstRequest) -> None:
        async with gate:
            await asyncio.sleep(9)

    assert 0.9 < asyncio.run(wait_for_the_first()) < 3


def test_failure_of_every_request_takes_one(server: ProviderServer) -> None:
    """The others are never sent."""
    server.script = lambda attempt, body: refused(status=401)
    generator = vllm("gpt", base_url=server.url, max_retries=0)

    for _ in range(2):
        with pytest.raises(FatalError, match="API key"):
            questions(generator, 20).run()

    assert 2 == len(server.requests)


def test_next_request_is_the_first_after_a_failure_of_all(
    server: ProviderServer,
) -> None:
    """A generator that is used again begins anew."""
    server.script = lambda attempt, body: refused(status=401) if attempt == 1 else None
    generator = vllm("gpt", base_url=server.url, max_retries=0)

    with pytest.raises(FatalError):
        ask(generator)

    assert "re: 2+2" == ask(generator).final_output
