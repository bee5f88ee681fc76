"""The waits that headers ask for, in the forms that providers write."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from themis_lib.adapters.wait_times import Wait, duration_s, read_wait, retry_after_s

#: 1582977600 seconds since 1970.
DATE = "Sat, 29 Feb 2020 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1s"}, 1.0),
        ({"retry-after": "1m 30s"}, 90.0),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "-5", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "1582977605", "date": DATE}, 5.0),
        ({"retry-after-ms": "1582977605250", "date": DATE}, 5.25),
        ({"retry-after": "2020-02-29T12:00:05+00:00", "date": DATE}, 5.0),
        ({"retry-after": "2020-02-29T13:00:05+01:00", "date": DATE}, 5.0),
        ({"retry-after": "2020-02-29T12:00:05", "date": DATE}, 5.0),
        ({"retry-after": "Sat, 29 Feb 2020 12:00:05 GMT", "date": DATE}, 5.0),
        ({"retry-after": "Sat, 29 Feb 2020 11:00:00 GMT", "date": DATE}, 0.0),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds or nothing that can be read."""
    assert seconds == retry_after_s(headers)


def test_retry_after_may_be_a_date() -> None:
    """An HTTP date is the seconds until then; one that has passed is no wait."""
    then = retry_after_s({"retry-after": formatdate(time.time() + 30, usegmt=True)})

    assert then is not None
    assert 28 < then <= 30
    assert 0.0 == retry_after_s(
        {"retry-after": formatdate(time.time() - 30, usegmt=True)}
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("2", 2.0),
        ("6m 0s", 360.0),
        ("1D", 86400.0),
        ("2µs", 2e-6),
        ("500ns", 5e-7),
        ("5 parsecs", None),
        ("12sx", None),
        ("nan", None),
        # A point in time is not a duration.
        ("1582977605", None),
        ("1582977605250", None),
        ("", None),
        ("soon", None),
    ],
)
def test_durations_of_headers_are_read(text: str, seconds: float | None) -> None:
    """As OpenAI and its kin write them."""
    read_s = duration_s(text)

    assert read_s == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
def test_moments_are_read_in_every_unit(unit: float) -> None:
    """Seconds, milliseconds, microseconds and nanoseconds since 1970."""
    wait = read_wait(f"{1582977607 * unit:.0f}", {"date": DATE})

    assert wait is not None
    assert (7.0, True) == (pytest.approx(wait.seconds, abs=1e-3), wait.is_moment)


def test_date_that_cannot_be_read_leaves_the_local_clock() -> None:
    """A header that is no date is ignored."""
    wait = read_wait(str(int(time.time()) + 30), {"date": "yesterday"})

    assert wait is not None
    assert 28 < wait.seconds <= 30


def test_clock_that_is_set_back_lengthens_no_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the provider's date, time is what has passed since the start."""
    reset = str(int(time.time()) + 30)
    hour_ago = time.time() - 3600
    monkeypatch.setattr("themis_lib.adapters.wait_times.time", lambda: hour_ago)

    wait = read_wait(reset, {})

    assert wait is not None
    assert 25 < wait.seconds <= 30


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999",
        "99999-01-01T00:00:00Z",
    ],
)
def test_impossible_date_asks_for_no_wait(text: str) -> None:
    """Neither as the moment nor as the reply's own date does it cost the reply."""
    assert read_wait(text, {}) is None
    assert read_wait("2", {"date": text}) == Wait(2.0)
    assert read_wait("1582977605", {"date": text}) == Wait(0.0, is_moment=True)


def test_long_headers_are_read_in_little_time() -> None:
    """They hold up every request of the process."""
    began = time.process_time()

    assert duration_s("1" * 50_000) is None
    assert duration_s("1.1" * 20_000) is None
    assert time.process_time() - began < 2
