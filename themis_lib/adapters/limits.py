"""How fast a provider is asked: requests in flight, requests and tokens a minute, and
what its replies ask for.
"""

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
from typing import TYPE_CHECKING, Any

import anyio

from themis_lib.errors import ComponentError

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

_MINUTE_S = 60.0
_LONGEST_PAUSE_S = 120.0
#: The last replies that are looked at for how many were refused.
_REPLIES = 20
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


@dataclass(frozen=True)
class Limits:
    """What a provider allows: requests in flight, and requests and tokens a minute;
    null where nothing is said.
    """

    max_concurrency: int
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class Throttle:
    """Admits the requests to one provider from one event loop, no more slowly than its
    limits require.

    A burst up to a minute's allowance goes at once. After a reply that says that
    nothing remains, requests go at the pace at which something comes back. A single
    refusal (429) delays nobody but the request refused; when most of the last replies
    are refusals, everybody waits as long as the provider asks and half as many requests
    are in flight, and one more for each good reply from then on.
    """

    def __init__(self, limits: Limits) -> None:
        self.most = limits.max_concurrency
        self._width = float(limits.max_concurrency)
        self._slots = anyio.CapacityLimiter(limits.max_concurrency)
        self._requests = _make_bucket(limits.requests_per_minute)
        self._tokens = _make_bucket(limits.tokens_per_minute)
        self._tokens_each = 0.0
        self._observed = 0
        self._resume_at = 0.0
        self._pace_s = 0.0
        self._obeyed_at = 0.0
        self._refused: deque[bool] = deque(maxlen=_REPLIES)

    async def __aenter__(self) -> Throttle:
        await self._slots.acquire()
        try:
            await self._wait_for_buckets()
        except BaseException:
            self._slots.release()
            raise
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
        """How many requests may be in flight at present."""
        return int(self._width)

    def observe(
        self,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        """Take in what a reply says about the limits."""
        if status == 429:
            self._note_refusal(headers)
        else:
            self._refused.append(False)
        if status < 400:
            self._set_width(self._width + 1)
            waits = (
                _wait_and_pace_s(headers, "requests", 1.0),
                _wait_and_pace_s(headers, "tokens", self._tokens_each),
            )
            wait_s, self._pace_s = map(max, zip(*waits, strict=True))
            self._pause_for(wait_s)

    def expect_tokens(self, tokens: float) -> None:
        """Take a request to use so many tokens, until the first reply has said how many
        it was.
        """
        if not self._observed:
            self._tokens_each = tokens

    def count_tokens(self, tokens: int) -> None:
        """Take in what a request used: the next one is taken to use as much as they did
        on average.
        """
        self._observed += 1
        self._tokens_each += (tokens - self._tokens_each) / self._observed

    def _note_refusal(self, headers: Mapping[str, str]) -> None:
        if self._obeyed_at > asyncio.get_running_loop().time():
            return  # sent before everybody was told to wait
        self._refused.append(True)
        if sum(self._refused) > _REPLIES // 2:
            self._refused.clear()
            self._set_width(self._width / 2)
            self._pause_for(retry_after_s(headers) or 1.0)
            self._obeyed_at = self._resume_at

    async def _wait_for_buckets(self) -> None:
        while (wait_s := self._wait_s()) > 0:
            await asyncio.sleep(wait_s)
        self._pause_for(
            self._pace_s
        )  # whoever comes next waits for what comes back after this one
        if self._requests:
            await self._requests.acquire()
        if self._tokens:
            await self._tokens.acquire(min(self._tokens_each, self._tokens.max_rate))

    def _wait_s(self) -> float:
        return self._resume_at - asyncio.get_running_loop().time()

    def _pause_for(self, seconds: float) -> None:
        if seconds > 0:
            until = asyncio.get_running_loop().time() + min(seconds, _LONGEST_PAUSE_S)
            self._resume_at = max(self._resume_at, until)

    def _set_width(self, width: float) -> None:
        self._width = min(max(width, 1.0), float(self.most))
        self._slots.total_tokens = int(self._width)


_THROTTLES: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[Hashable, Throttle]
]
_THROTTLES = weakref.WeakKeyDictionary()


def throttle(
    provider: Hashable,
    limits: Limits,
) -> Throttle:
    """The throttle of a provider on the running loop; whoever asks the same provider
    under these limits shares it.
    """
    throttles = _THROTTLES.setdefault(asyncio.get_running_loop(), {})
    return throttles.setdefault((provider, limits), Throttle(limits))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that a reply asks to wait (RFC 9110, 10.2.3), or null.

    >>> retry_after_s({"retry-after": "2"})
    2.0
    """
    if milliseconds := _parse_number(headers.get("retry-after-ms")):
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _parse_number(text)
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
    return _parse_number(text)


def _wait_and_pace_s(
    headers: Mapping[str, str],
    what: str,
    needed: float,
) -> tuple[float, float]:
    """The seconds until `needed` of what is limited is there, and those until as much
    again is; 0 while there is more.

    A reset is the time until the whole limit is there again, so that a part of it is
    there sooner.
    """
    limit, remaining = (
        _parse_number(headers.get(f"x-ratelimit-{name}-{what}"))
        for name in ("limit", "remaining")
    )
    reset_s = duration_s(headers.get(f"x-ratelimit-reset-{what}", ""))
    if remaining is None or not reset_s or remaining >= min(needed, limit or needed):
        return 0.0, 0.0
    if not limit:
        return (reset_s, reset_s) if remaining == 0 else (0.0, 0.0)
    needed, each_s = min(needed, limit), reset_s / (limit - remaining)
    return (needed - remaining) * each_s, needed * each_s


def _make_bucket(per_minute: float | None) -> AsyncLimiter | None:
    """Holds a minute's allowance; one of less than a request a minute holds one
    request.
    """
    if not per_minute:
        return None
    try:
        from aiolimiter import AsyncLimiter
    except ImportError as error:
        raise ComponentError(
            f"{error.name} is not installed: pip install 'themis-flows[openai]'"
        ) from None
    held = max(per_minute, 1.0)
    return AsyncLimiter(held, _MINUTE_S * held / per_minute)


def _parse_number(text: Any) -> float | None:
    try:
        return max(float(text), 0.0)
    except (TypeError, ValueError):
        return None
