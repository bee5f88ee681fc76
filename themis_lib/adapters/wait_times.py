"""The waits that a provider's headers ask for, however they are written.

A wait is a number of seconds, a duration (`1m30s`, `120ms`), or a point in time: an
HTTP date, an ISO 8601 date, or seconds, milliseconds, … since 1970.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Any, TypeAlias

Headers: TypeAlias = Mapping[str, str]

#: Of at most so many digits: a longer row of them would be searched from each of them.
_DURATION = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(ns|us|µs|μs|ms|s|m|h|d)")
_UNIT_S = {
    "ns": 1e-9,
    # Go writes the micro sign, some servers the Greek letter that looks like it.
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
#: A number from here on is a point in time: as seconds, it would be a wait of years.
_FIRST_MOMENT = 1e8
#: The first number of each smaller unit since 1970: until the year 5138 they are told
#: apart by their size.
_EPOCH_UNITS = (
    (1e17, 1e-9),
    (1e14, 1e-6),
    (1e11, 1e-3),
)
# The clock as it was at the start: it may be set back while a run waits.
_STARTED_AT_S = time() - monotonic()


@dataclass(frozen=True)
class Wait:
    """Seconds to wait; `is_moment` says that a point in time was given."""

    seconds: float
    is_moment: bool = False


def read_wait(
    text: str | None,
    headers: Headers,
) -> Wait | None:
    """Return the wait that a header's text asks for, or `None` if it cannot be read.

    Points in time are compared with the reply's own `date`, so that it does not matter
    whether the clocks of provider and client agree. One that has passed is no wait.

    >>> read_wait("1m30s", {})
    Wait(seconds=90.0, is_moment=False)
    >>> read_wait("1794873605", {"date": "Tue, 17 Nov 2026 00:00:00 GMT"})
    Wait(seconds=5.0, is_moment=True)
    """
    if not text:
        return None
    seconds = duration_s(text)
    if seconds is not None:
        return Wait(seconds)
    moment_s = _moment_s(text.strip())
    if moment_s is None:
        return None
    return Wait(max(moment_s - _now_s(headers), 0.0), is_moment=True)


def retry_after_s(headers: Headers) -> float | None:
    """Return the seconds that a reply asks to wait (RFC 9110, 10.2.3), or `None`.

    >>> retry_after_s({"retry-after": "2"})
    2.0
    """
    # OpenAI's finer header takes precedence, as in the SDK.
    text = headers.get("retry-after-ms")
    milliseconds = number_in(text)
    if milliseconds and milliseconds < _FIRST_MOMENT:
        return milliseconds / 1000
    # 0 says nothing: the other header may say more.
    wait = None if milliseconds == 0 else read_wait(text, headers)
    if wait is None:
        wait = read_wait(headers.get("retry-after"), headers)
    return None if wait is None else wait.seconds


def duration_s(text: str) -> float | None:
    """Return the seconds of a duration as rate-limit headers write it, or `None`.

    >>> duration_s("6m0s"), duration_s("120ms"), duration_s("1.5")
    (360.0, 0.12, 1.5)
    """
    compact = "".join(text.lower().split())
    parts = _DURATION.findall(compact)
    # Only a text that the parts fill: "5x" or "12sx" are not durations.
    if parts and "".join(map("".join, parts)) == compact:
        return sum(float(amount) * _UNIT_S[unit] for amount, unit in parts)
    number = number_in(text)
    return number if number is not None and number < _FIRST_MOMENT else None


def number_in(text: Any) -> float | None:
    """Return the number that a header holds, at least 0; `None` for NaN and infinity."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return max(number, 0.0) if math.isfinite(number) else None


def _moment_s(text: str) -> float | None:
    """Return a point in time as seconds since 1970, or `None` if it is none."""
    number = number_in(text)
    if number is not None:
        for first, unit_s in _EPOCH_UNITS:
            if number >= first:
                return number * unit_s
        return number
    moment = None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        # A year or an offset that no date can have.
        except (ValueError, OverflowError):
            continue
        break
    if moment is None:
        return None
    # Without a zone, both formats mean UTC here.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _now_s(headers: Headers) -> float:
    """Return the seconds since 1970: the provider's where its reply says, else ours."""
    text = headers.get("date")
    date_s = _moment_s(text) if text else None
    if date_s is not None:
        return date_s
    return max(time(), _STARTED_AT_S + monotonic())
