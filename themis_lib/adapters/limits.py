"""How fast a provider is asked: requests in flight, requests and tokens per minute.

Limits come from the settings and from the headers of the provider's replies.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import anyio

from themis_lib.adapters.wait_times import (
    Headers,
    number_in,
    read_wait,
)
from themis_lib.adapters.wait_times import duration_s as duration_s
from themis_lib.adapters.wait_times import retry_after_s as retry_after_s
from themis_lib.core.models import TokenUsage
from themis_lib.errors import ComponentError
from themis_lib.telemetry import model_calls

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

_MINUTE_S = 60.0
#: No header may stop a run for longer, be it right or wrong.
_LONGEST_PAUSE_S = 120.0
#: How many of the last replies are searched for refusals.
_REPLIES = 20
#: A reset that is further away is an error of the provider's, or of a clock.
_LONGEST_RESET_S = 86_400.0
#: 429, and 529: Anthropic's for a provider that is overloaded.
_REFUSALS = (429, 529)
#: What providers limit in a minute; the last two are Anthropic's.
_COUNTED = ("requests", "tokens", "input-tokens", "output-tokens")
#: Requests that are made at the same time, per request in flight: some wait for their
#: turn, or to be tried again.
_MADE = 2
#: What the names of all headers about limits contain.
_LIMIT = "ratelimit"
#: Pauses from here on are logged as warnings.
_LONG_PAUSE_S = 5.0
_LOG = logging.getLogger("themis_lib.limits")


@dataclass(frozen=True)
class Limits:
    """A provider's limits: requests in flight, requests and tokens per minute.

    `None` means no limit.
    """

    max_concurrency: int
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True)
class _Allowance:
    """What a reply says of one limit. `refills`: bit by bit until its reset."""

    limit: float | None
    remaining: float | None
    reset: str | None
    refills: bool = False


class Throttle:
    """A gate for one provider's requests on one event loop, as wide as its limits allow.

    A burst of up to one minute's allowance passes at once. After a reply that says that
    nothing remains, requests pass at the pace at which the allowance refills. A single
    refusal (429) delays only the refused request. When most of the last replies are
    refusals, all requests wait as long as the provider asks and half as many are in
    flight; each good reply from then on adds one.
    """

    def __init__(self, limits: Limits) -> None:
        self.most = limits.max_concurrency
        # Whether anybody has ever been there to take a request.
        self.is_reached = False
        # A float, so that halving an odd width forgets nothing.
        self._width = float(limits.max_concurrency)
        #: To hold while a request is made and until it is answered. Many rows wait for
        #: their turn, and requests with images are large.
        self.making = asyncio.Semaphore(_MADE * limits.max_concurrency)
        self._slots = anyio.CapacityLimiter(limits.max_concurrency)
        self._requests = _bucket_of(limits.requests_per_minute)
        self._tokens = _bucket_of(limits.tokens_per_minute)
        self._tokens_each = 0.0
        self._observed = 0
        self._resume_at = 0.0
        self._pace_s = 0.0
        self._obeyed_at = 0.0
        # Whether the pause is shorter than the reset that it is for.
        self._is_cut_short = False
        self._misleads = False
        self._refused: deque[bool] = deque(maxlen=_REPLIES)

    async def __aenter__(self) -> Throttle:
        try:
            # Without a turn of the loop, in which every other request would go first.
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            await self._slots.acquire()
        try:
            loop = asyncio.get_running_loop()
            # Again after each sleep: another reply may have moved the time meanwhile.
            while self._resume_at > loop.time():
                await asyncio.sleep(self._resume_at - loop.time())
            # The next request waits for what refills after this one.
            self._pause_for(self._pace_s)
            if self._requests:
                await self._requests.acquire()
            if self._tokens:
                # The bucket never contains more: waiting for more would not end.
                tokens = min(self._tokens_each, self._tokens.max_rate)
                await self._tokens.acquire(tokens)
        except BaseException:
            # A request that is cancelled while it waits would keep its slot forever.
            self._slots.release()
            raise
        model_calls.sent()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._slots.release()

    @property
    def width(self) -> int:
        """The number of requests that may be in flight at present."""
        return int(self._width)

    def observe(
        self,
        status: int,
        headers: Headers,
    ) -> None:
        """Learn the provider's limits from a reply."""
        self.is_reached = True
        model_calls.answered(status)
        if status in _REFUSALS:
            self._observe_refusal(status, headers)
            return
        self._refused.append(False)
        if status >= 400:
            return
        self._set_width(self._width + 1)
        self._check_resets()
        if self._misleads:
            return
        if not any(_LIMIT in str(name).lower() for name in headers):
            # A server of one's own says nothing of limits.
            self._pace_s = 0.0
            return
        waits = []
        for what in _COUNTED:
            needed = self._tokens_each if what == "tokens" else 1.0
            waits.append((*_wait_and_pace_s(headers, what, needed=needed), what))
        self._pace_s = max(pace_s for _, pace_s, _ in waits)
        # The first of equal ones.
        wait_s, _, what = max(waits, key=lambda wait: wait[0])
        self._is_cut_short = wait_s > _LONGEST_PAUSE_S
        self._pause_for(
            wait_s,
            why=f"no {what} remain; the provider's reset is "
            f"{_read_allowance(headers, what).reset!r}",
        )

    def expect_tokens(self, tokens: float) -> None:
        """Assume that a request uses so many tokens, until a reply has told."""
        if not self._observed:
            self._tokens_each = tokens

    def count_tokens(self, tokens: int) -> None:
        """Record the tokens of a finished request; the next is assumed to be average."""
        self._observed += 1
        self._tokens_each += (tokens - self._tokens_each) / self._observed

    def count_usage(self, usage: TokenUsage | None) -> None:
        """Record the tokens of a finished request, as far as its reply tells them."""
        if usage is not None and usage.input_tokens is not None:
            self.count_tokens(usage.input_tokens + (usage.output_tokens or 0))

    def _observe_refusal(
        self,
        status: int,
        headers: Headers,
    ) -> None:
        # Requests sent before the last pause are refused too: they say nothing new.
        if self._obeyed_at > asyncio.get_running_loop().time():
            return
        self._refused.append(True)
        if sum(self._refused) <= _REPLIES // 2:
            return
        self._refused.clear()
        self._set_width(self._width / 2)
        self._pause_for(
            retry_after_s(headers) or 1.0,
            why=f"most of the last requests were refused (HTTP {status})",
        )
        self._obeyed_at = self._resume_at

    def _check_resets(self) -> None:
        """Stop believing in resets once a request is answered long before its own."""
        is_over = asyncio.get_running_loop().time() >= self._resume_at
        if self._is_cut_short and is_over and not self._misleads:
            self._misleads = True
            self._pace_s = 0.0
            _LOG.warning(
                "the provider answered before its reset: its resets, or a clock, are "
                "wrong; from now on only refusals (HTTP 429) slow the run down"
            )

    def _pause_for(
        self,
        seconds: float,
        *,
        why: str = "",
    ) -> None:
        if seconds <= 0:
            return
        now = asyncio.get_running_loop().time()
        pause_s = min(seconds, _LONGEST_PAUSE_S)
        # Not for each reply of a burst: they all say the same.
        if why and now + pause_s > self._resume_at + 1:
            level = logging.WARNING if pause_s >= _LONG_PAUSE_S else logging.INFO
            _LOG.log(level, "requests wait %.1f s: %s", pause_s, why)
        self._resume_at = max(self._resume_at, now + pause_s)

    def _set_width(self, width: float) -> None:
        # At least one, or no reply would ever widen it again.
        self._width = min(max(width, 1.0), float(self.most))
        self._slots.total_tokens = int(self._width)


_Throttles: TypeAlias = dict[Hashable, Throttle]
#: Weak keys: the limiters of a loop are of no use after it.
_THROTTLES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Throttles] = (
    weakref.WeakKeyDictionary()
)


def throttle(
    provider: Hashable,
    limits: Limits,
) -> Throttle:
    """Return the running loop's throttle for a provider under these limits."""
    throttles = _THROTTLES.setdefault(asyncio.get_running_loop(), {})
    # Not by `setdefault`, which would make one for each request.
    found = throttles.get((provider, limits))
    if found is None:
        found = throttles[provider, limits] = Throttle(limits)
    return found


def _wait_and_pace_s(
    headers: Headers,
    what: str,
    needed: float,
) -> tuple[float, float]:
    """Return the seconds until `needed` is available, and until as much is again.

    Both are 0 while more than `needed` remains.
    """
    allowance = _read_allowance(headers, what)
    limit, remaining = allowance.limit, allowance.remaining
    reset = read_wait(allowance.reset, headers)
    if remaining is None or reset is None:
        return 0.0, 0.0
    reset_s = reset.seconds
    if not 0 < reset_s <= _LONGEST_RESET_S:
        return 0.0, 0.0
    if remaining >= min(needed, limit or needed):
        return 0.0, 0.0
    # At a point in time a window begins, with all of its allowance at once.
    if reset.is_moment and not allowance.refills:
        return reset_s, 0.0
    if not limit:
        # Without the limit, part of the reset's time cannot be told.
        wait_s = reset_s if remaining == 0 else 0.0
        return wait_s, wait_s
    # A reset is the time until the whole limit is available: a part of it is sooner.
    needed = min(needed, limit)
    each_s = reset_s / (limit - remaining)
    return (needed - remaining) * each_s, needed * each_s


def _read_allowance(
    headers: Headers,
    what: str,
) -> _Allowance:
    prefix = f"anthropic-ratelimit-{what}-"
    if f"{prefix}remaining" in headers:
        return _Allowance(
            number_in(headers.get(f"{prefix}limit")),
            number_in(headers.get(f"{prefix}remaining")),
            headers.get(f"{prefix}reset"),
            refills=True,
        )
    return _Allowance(
        number_in(headers.get(f"x-ratelimit-limit-{what}")),
        number_in(headers.get(f"x-ratelimit-remaining-{what}")),
        headers.get(f"x-ratelimit-reset-{what}"),
    )


def _bucket_of(per_minute: float | None) -> AsyncLimiter | None:
    """Return a bucket that holds one minute's allowance, or `None` without a limit."""
    if not per_minute:
        return None
    try:
        from aiolimiter import AsyncLimiter
    except ImportError as error:
        raise ComponentError(
            f"{error.name} is not installed: pip install 'themis-flows[openai]'"
        ) from None
    # A bucket of less than one request would never admit any.
    held = max(per_minute, 1.0)
    return AsyncLimiter(held, _MINUTE_S * held / per_minute)
