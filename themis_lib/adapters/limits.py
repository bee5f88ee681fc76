"""How fast a provider is asked: requests in flight, requests and tokens a minute, and what its replies ask for."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from types import TracebackType
from typing import Any

import anyio
from aiolimiter import AsyncLimiter

_MINUTE_S = 60.0
_LONGEST_PAUSE_S = 120.0
#: The last replies that are looked at for how many were refused.
_REPLIES = 20
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Limits:
    """What a provider allows: requests in flight, and requests and tokens a minute; null where nothing is said."""

    max_concurrency: int
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class Throttle:
    """Admits the requests to one provider from one event loop, no more slowly than its limits require.

    A burst up to a minute's allowance goes at once. A reply that says that nothing remains, holds the next request
    until something does. A single refusal (429) delays nobody but the request refused; when most of the last
    replies are refusals, everybody waits as long as the provider asks and fewer requests are in flight, until
    replies are good again.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.max_concurrency
        self._width = float(limits.max_concurrency)
        self._slots = anyio.CapacityLimiter(limits.max_concurrency)
        self._requests = _bucket(limits.requests_per_minute)
        self._tokens = _bucket(limits.tokens_per_minute)
        self._tokens_each = 0.0
        self._observed = 0
        self._resume_at = 0.0
        self._refused: deque[bool] = deque(maxlen=_REPLIES)

    async def __aenter__(self) -> Throttle:
        await self._slots.acquire()
        try:
            await self._admitted()
        except BaseException:
            self._slots.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._slots.release()

    @property
    def width(self) -> int:
        """How many requests may be in flight at present."""
        return int(self._width)

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in what a reply says about the limits."""
        refused = status == 429
        self._refused.append(refused)
        if refused and sum(self._refused) > _REPLIES // 2:
            self._pause(retry_after_s(headers) or 1.0)
            self._set_width(self._width / 2)
            self._refused.clear()
        elif status < 400:
            self._set_width(self._width + 1 / self._width)
            self._pause(_wait_s(headers, "requests", 1.0))
            self._pause(_wait_s(headers, "tokens", self._tokens_each))

    def count_tokens(self, tokens: int) -> None:
        """Take in what a request used: the next one is taken to use as much as they did on average."""
        self._observed += 1
        self._tokens_each += (tokens - self._tokens_each) / self._observed

    async def _admitted(self) -> None:
        clock = asyncio.get_running_loop().time
        while (wait_s := self._resume_at - clock()) > 0:
            await asyncio.sleep(wait_s)
        if self._requests:
            await self._requests.acquire()
        if self._tokens:
            await self._tokens.acquire(min(self._tokens_each, self._tokens.max_rate))

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            until = asyncio.get_running_loop().time() + min(seconds, _LONGEST_PAUSE_S)
            self._resume_at = max(self._resume_at, until)

    def _set_width(self, width: float) -> None:
        self._width = min(max(width, 1.0), float(self._most))
        self._slots.total_tokens = int(self._width)


_THROTTLES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Throttle]]
_THROTTLES = weakref.WeakKeyDictionary()


def throttle(provider: Hashable, limits: Limits) -> Throttle:
    """The throttle of a provider on the running loop; whoever asks the same provider under these limits shares it."""
    throttles = _THROTTLES.setdefault(asyncio.get_running_loop(), {})
    return throttles.setdefault((provider, limits), Throttle(limits))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that a reply asks to wait (RFC 9110, 10.2.3), or null.

    >>> retry_after_s({"retry-after": "2"})
    2.0
    """
    if milliseconds := _number(headers.get("retry-after-ms")):
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        return max(parsedate_to_datetime(text).timestamp() - time(), 0.0)
    except ValueError:
        return None


def duration_s(text: str) -> float | None:
    """The seconds of a duration as rate-limit headers write it, or null.

    >>> duration_s("6m0s"), duration_s("120ms"), duration_s("1.5")
    (360.0, 0.12, 1.5)
    """
    parts = _DURATION.findall(text)
    if parts and "".join(f"{amount}{unit}" for amount, unit in parts) == text:
        return sum(float(amount) * _UNIT_S[unit] for amount, unit in parts)
    return _number(text)


def _wait_s(headers: Mapping[str, str], what: str, needed: float) -> float:
    """How long until `needed` of what is limited is there again, at the pace at which it comes back."""
    limit, remaining = (_number(headers.get(f"x-ratelimit-{name}-{what}")) for name in ("limit", "remaining"))
    reset_s = duration_s(headers.get(f"x-ratelimit-reset-{what}", ""))
    if not limit or remaining is None or not reset_s or remaining >= needed or remaining >= limit:
        return 0.0
    return min(needed, limit) * reset_s / (limit - remaining)


def _bucket(per_minute: float | None) -> AsyncLimiter | None:
    return AsyncLimiter(per_minute, _MINUTE_S) if per_minute else None


def _number(text: Any) -> float | None:
    try:
        return max(float(text), 0.0)
    except (TypeError, ValueError):
        return None
