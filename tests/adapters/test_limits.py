"""How fast a provider is asked: never over its limits, and never slower than they
require.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.support.asking import outputs, questions
from tests.support.provider_server import Fault, ProviderServer, refused
from themis_lib.adapters import openai
from themis_lib.adapters.limits import (
    Limits,
    Throttle,
    throttle,
)

STARVED = {
    "x-ratelimit-limit-requests": "100",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "10s",
}


async def admitted(limiter: Throttle, count: int) -> list[float]:
    """The seconds until each of so many requests, asked for at once, is let go."""
    began = time.monotonic()

    async def one() -> float:
        async with limiter:
            return time.monotonic() - began

    return sorted(await asyncio.gather(*(one() for _ in range(count))))


def in_loop(work: Any) -> Any:
    return asyncio.run(work())


def test_minutes_allowance_goes_at_once() -> None:
    """A burst up to a minute's allowance waits for nothing; what is over it comes at
    the allowance's pace.
    """

    async def work() -> list[float]:
        return await admitted(Throttle(Limits(10_000, requests_per_minute=3000)), 3025)

    waited = in_loop(work)

    allowed_at = [max(0, number - 3000) / 50 for number in range(1, 3026)]
    assert all(
        at >= allowed - 0.01 for at, allowed in zip(waited, allowed_at, strict=True)
    )
    assert waited[-1] >= 0.49


async def let_go(limiter: Throttle, count: int) -> int:
    """How many of so many requests go at once."""
    done = []

    async def one() -> None:
        async with limiter:
            done.append(True)

    tasks = [asyncio.ensure_future(one()) for _ in range(count)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len(done)


def test_tokens_are_counted_by_what_requests_used() -> None:
    """Each request takes the average of those before it out of a minute's tokens; the
    first ones their estimate.
    """

    async def work() -> tuple[int, int]:
        used, estimated = (
            Throttle(Limits(100, tokens_per_minute=6000)) for _ in range(2)
        )
        used.expect_tokens(5)
        used.count_tokens(500)
        used.count_tokens(700)
        used.expect_tokens(5)
        estimated.expect_tokens(1000)
        return await let_go(used, 12), await let_go(estimated, 12)

    assert (10, 6) == in_loop(work)


@pytest.mark.parametrize(("per_minute", "at_once"), [(0.5, 1), (1, 1), (2.5, 2)])
def test_less_than_a_request_a_minute_is_a_limit(
    per_minute: float, at_once: int
) -> None:
    """Few requests a minute go singly, not never."""

    async def work() -> int:
        return await let_go(Throttle(Limits(100, requests_per_minute=per_minute)), 5)

    assert at_once == in_loop(work)


def test_in_flight_bound_holds() -> None:
    """Never more than `max_concurrency` at a time, and no fewer while there is work."""

    async def work() -> tuple[int, float]:
        limiter, inside, most = Throttle(Limits(7)), 0, 0
        began = time.monotonic()

        async def one() -> None:
            nonlocal inside, most
            async with limiter:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.02)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(70)))
        return most, time.monotonic() - began

    most, seconds = in_loop(work)

    assert 7 == most
    assert seconds >= 0.2


def test_nothing_remaining_holds_the_next_request() -> None:
    """After `remaining: 0`, requests go at the pace at which the provider says it
    recovers.
    """

    async def work() -> list[float]:
        limiter = Throttle(Limits(100))
        limiter.observe(200, STARVED)  # a hundred in ten seconds: one each 0.1 s
        return await admitted(limiter, 5)

    waited = in_loop(work)

    assert all(at >= 0.1 * number - 0.01 for number, at in enumerate(waited, start=1))
    assert waited[-1] < 5, "it need not wait for the whole limit"


class AnyCase(dict[str, str]):
    """Headers that keep the case of their names, and are found by any, as in `requests`."""

    def get(self, name: str, default: Any = None) -> Any:
        return {key.lower(): value for key, value in self.items()}.get(name, default)

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in map(str.lower, self)


def test_limits_are_read_whatever_the_case_of_their_names() -> None:
    """An injected client's headers may keep it."""

    async def work() -> int:
        limiter = Throttle(Limits(100))
        told = {**STARVED, "x-ratelimit-reset-requests": "1000s"}
        limiter.observe(200, AnyCase({name.title(): told[name] for name in told}))
        return await let_go(limiter, 3)

    assert 0 == in_loop(work)


def test_pace_ends_with_a_reply_that_says_nothing_of_limits() -> None:
    """A proxy may answer from its own cache."""

    async def work() -> int:
        limiter = Throttle(Limits(100))
        limiter.observe(200, {**STARVED, "x-ratelimit-reset-requests": "50ms"})
        limiter.observe(200, {"content-type": "application/json"})
        await asyncio.sleep(0.1)
        return await let_go(limiter, 3)

    assert 3 == in_loop(work)


def test_something_remaining_lets_go() -> None:
    """As soon as a reply says that there is more, nobody waits for what was said
    before.
    """

    async def work() -> list[float]:
        limiter = Throttle(Limits(100))
        limiter.observe(200, STARVED)
        await asyncio.sleep(0.11)
        limiter.observe(200, {**STARVED, "x-ratelimit-remaining-requests": "99"})
        return await admitted(limiter, 90)

    assert max(in_loop(work)) < 5


def test_tokens_that_do_not_suffice_hold_the_next_request() -> None:
    """Fewer remaining tokens than a request uses are as good as none."""
    headers = {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "50",
        "x-ratelimit-reset-tokens": "1.9s",
    }

    async def work() -> list[float]:
        limiter = Throttle(Limits(100))
        limiter.count_tokens(150)
        limiter.observe(200, headers)  # 950 tokens in 1.9 s: the missing 100 in 0.2 s
        return await admitted(limiter, 1)

    (waited,) = in_loop(work)
    assert 0.19 <= waited < 1.5


def test_single_refusal_delays_nobody() -> None:
    """One 429, and even every third reply, leaves the others alone."""

    async def work() -> tuple[int, list[float]]:
        limiter = Throttle(Limits(64))
        for number in range(60):
            limiter.observe(
                429 if number % 3 == 0 else 200,
                {"retry-after": "60"} if number % 3 == 0 else {},
            )
        return limiter.width, await admitted(limiter, 64)

    width, waited = in_loop(work)

    assert 64 == width
    assert max(waited) < 30


def test_majority_of_refusals_halves_and_good_replies_restore() -> None:
    """Most of the last replies refused: everybody waits once, half as many are in
    flight; then it grows back.
    """

    async def work() -> tuple[list[int], list[float], int]:
        limiter, widths = Throttle(Limits(64)), []
        for _ in range(64):  # one burst, all of it refused: that is one piece of news
            limiter.observe(429, {"retry-after": "0.2"})
            widths.append(limiter.width)
        waited = await admitted(limiter, 8)
        for _ in range(32):
            limiter.observe(200, {})
        return widths, waited, limiter.width

    widths, waited, restored = in_loop(work)

    assert [64, 32] == sorted(set(widths), reverse=True)
    assert all(at >= 0.19 for at in waited)
    assert 64 == restored


def test_generators_of_one_provider_share_a_throttle() -> None:
    """On one loop whoever asks the same provider under the same limits gets the same
    throttle.
    """

    async def work() -> tuple[Throttle, Throttle, Throttle]:
        return (
            throttle("a", Limits(4)),
            throttle("a", Limits(4)),
            throttle("b", Limits(4)),
        )

    one, same, other = in_loop(work)

    assert one is same
    assert one is not other
    assert one is not in_loop(work)[0]


@pytest.mark.parametrize(
    "reset",
    ["{:.0f}", "{:.0f}000", "{:.3f}", "{:%Y-%m-%dT%H:%M:%SZ}", "HTTP"],
    ids=["seconds", "milliseconds", "fractions", "ISO", "HTTP"],
)
def test_reset_at_a_point_in_time_holds_requests_until_then(reset: str) -> None:
    """It is compared with the reply's own date, and the window then opens at once."""
    now = datetime(2020, 2, 29, 12, tzinfo=UTC)
    then = now + timedelta(seconds=1)
    written = reset.format(then if "%" in reset else then.timestamp())
    if reset == "HTTP":
        written = format_datetime(then, usegmt=True)
    headers = {
        **STARVED,
        "x-ratelimit-reset-requests": written,
        "date": format_datetime(now, usegmt=True),
    }

    async def work() -> list[float]:
        limiter = Throttle(Limits(100))
        limiter.observe(200, headers)
        return await admitted(limiter, 5)

    waited = in_loop(work)

    assert 0.99 <= waited[0]
    assert waited[-1] < 5


@pytest.mark.parametrize(
    "reset",
    ["-5", "0", "1e300", "nan", "inf", "soon", "", "4102444800", "1000000000", "99h"],
)
def test_reset_that_cannot_be_holds_nobody(reset: str) -> None:
    """It has passed, is no time at all, or is days away."""

    async def work() -> list[float]:
        limiter = Throttle(Limits(100))
        limiter.observe(200, {**STARVED, "x-ratelimit-reset-requests": reset})
        return await admitted(limiter, 50)

    assert max(in_loop(work)) < 5


@pytest.mark.parametrize("missing", ["limit", "remaining", "reset"])
def test_nothing_is_waited_for_that_is_not_told(missing: str) -> None:
    """Without what remains, or a reset, no wait can be told; without the limit, the
    whole reset is waited for.
    """
    headers = {**STARVED, "x-ratelimit-reset-requests": "1s"}
    del headers[f"x-ratelimit-{missing}-requests"]

    async def work() -> list[float]:
        limiter = Throttle(Limits(100))
        limiter.observe(200, headers)
        return await admitted(limiter, 2)

    assert (missing == "limit") == (in_loop(work)[0] > 0.9)


def test_resets_that_answers_contradict_are_not_believed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A clock that is an hour off stops a run for one pause, not for one a request."""
    monkeypatch.setattr("themis_lib.adapters.limits._LONGEST_PAUSE_S", 0.5)
    in_an_hour = {**STARVED, "x-ratelimit-reset-requests": str(int(time.time()) + 3600)}

    async def work() -> list[float]:
        limiter = Throttle(Limits(1))
        limiter.observe(200, in_an_hour)
        waited = []
        for _ in range(4):
            waited += await admitted(limiter, 1)
            limiter.observe(200, in_an_hour)
        return waited

    first, *others = in_loop(work)

    assert 0.49 <= first
    assert max(others) < 0.4
    assert "its resets, or a clock, are wrong" in caplog.text


def test_long_pause_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With its length and its reason, not once for each reply of a burst."""
    headers = {
        **STARVED,
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-reset-requests": "30s",
    }

    async def work() -> None:
        limiter = Throttle(Limits(100))
        for _ in range(20):
            limiter.observe(200, headers)

    in_loop(work)

    assert [
        "requests wait 30.0 s: no requests remain; the provider's reset is '30s'"
    ] == caplog.messages


# Measured by the server


def test_server_sees_no_more_than_the_bound(server: ProviderServer) -> None:
    """Requests in flight, also of two generators that share a provider, and tries that
    are sent again.
    """
    server.delay_s = 0.02
    server.script = lambda attempt, body: (
        refused("0.05")
        if attempt == 1 and int(body["input"].split()[1]) % 3 == 0
        else None
    )
    settings: dict[str, Any] = {"base_url": server.url, "max_concurrency": 5}

    async def both() -> list[Any]:
        first, second = (
            openai("gpt", temperature=value, **settings) for value in (0.0, 1.0)
        )
        return list(
            await asyncio.gather(
                *(questions(one, 30).run_async() for one in (first, second))
            )
        )

    one, other = asyncio.run(both())

    assert 5 == server.most_in_flight
    assert (
        [f"re: question {number}" for number in range(30)]
        == outputs(one)
        == outputs(other)
    )


def test_server_sees_the_pace_it_asked_for(server: ProviderServer) -> None:
    """A provider that lets a request through every 50 ms, and says so, refuses none
    after the first burst.
    """
    allowed_at = 0.0

    def script(attempt: int, body: dict[str, Any]) -> Fault:
        nonlocal allowed_at
        now = time.monotonic()
        if now < allowed_at - 0.02:
            return refused("0.05")
        allowed_at = max(now, allowed_at) + 0.05
        headers = {"limit": "20", "remaining": "0", "reset": "1s"}
        return Fault(
            headers={
                f"x-ratelimit-{name}-requests": value for name, value in headers.items()
            }
        )

    server.script = script
    began = time.monotonic()
    result = questions(openai("gpt", base_url=server.url, max_concurrency=8), 30).run()
    seconds = time.monotonic() - began

    assert [f"re: question {number}" for number in range(30)] == outputs(result)
    assert (
        sum(
            bool(request.fault and request.fault.status == 429)
            for request in server.requests
        )
        <= 8
    )
    assert seconds <= 1.5 * 30 * 0.05 + 1.0


def anthropic_headers(what: str, remaining: int, reset_s: float) -> dict[str, str]:
    """The limits of a reply of Anthropic's: 100 of `what`, all of them there again in so
    many seconds.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    prefix = f"anthropic-ratelimit-{what}"
    return {
        "date": format_datetime(now, usegmt=True),
        f"{prefix}-limit": "100",
        f"{prefix}-remaining": str(remaining),
        f"{prefix}-reset": (now + timedelta(seconds=reset_s)).isoformat(),
    }


@pytest.mark.parametrize("what", ["requests", "input-tokens", "output-tokens"])
def test_anthropics_limits_refill_bit_by_bit(what: str) -> None:
    """Its reset is the moment when the whole limit is there again: a hundredth of the
    way is one more, and requests go on at that pace.
    """

    async def work() -> tuple[list[float], list[float]]:
        starved, supplied = Throttle(Limits(10)), Throttle(Limits(10))
        starved.observe(200, anthropic_headers(what, 0, 10))
        supplied.observe(200, anthropic_headers(what, 50, 10))
        return await admitted(starved, 3), await admitted(supplied, 3)

    waited, passed = in_loop(work)

    assert all(
        0.08 + at <= waited[number] < 0.5 for number, at in enumerate((0.0, 0.1, 0.2))
    )
    assert passed[-1] < 0.08


def test_overloaded_provider_gets_fewer_requests() -> None:
    """529 is Anthropic's refusal of all: most of the last replies are needed, as of 429."""

    async def work() -> int:
        throttle = Throttle(Limits(8))
        for _ in range(11):
            throttle.observe(529, {"retry-after": "0.1"})
        return throttle.width

    assert 4 == in_loop(work)


MADE: list[str] = []


def noted(case: Any, ctx: Any) -> str:
    MADE.append(case.input)
    return str(case.input)


@pytest.mark.parametrize("width", [1, 3])
def test_rows_that_wait_for_long_are_not_made_into_requests(
    width: int, server: ProviderServer
) -> None:
    """A request with an image is large: few more are made than can be sent."""
    MADE.clear()
    most_made = []

    def note(attempt: int, body: Any) -> None:
        most_made.append(len(MADE) - len(server.answered))

    server.script = note
    model = openai(
        "gpt",
        base_url=server.url,
        api_key="none",
        api_mode="responses",
        input_builder=noted,
        max_concurrency=width,
    )

    result = questions(model, 20).run()

    assert [f"re: question {number}" for number in range(20)] == outputs(result)
    assert 20 == len(MADE)
    # One that was answered makes room for the next before it is counted here.
    assert width < max(most_made) <= 3 * width
