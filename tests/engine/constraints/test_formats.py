"""A date or time that matches its pattern exists."""

from __future__ import annotations

import calendar
import re

import pytest

from themis_lib.engine.constraints.formats import CALENDAR, FORMATS


def test_every_format_of_the_calendar_is_enforced():
    """What has a pattern is among the formats."""
    assert set(CALENDAR) <= FORMATS


@pytest.mark.parametrize("year", [1, 4, 100, 400, 1900, 2000, 2023, 2024, 9999])
def test_a_date_matches_if_its_day_exists(year):
    """Leap years are those of the Gregorian calendar."""
    for month in range(14):
        days = 0
        if 1 <= month <= 12:
            days = calendar.monthrange(year, month)[1]
        for day in range(33):
            text = f"{year:04d}-{month:02d}-{day:02d}"
            matched = bool(re.search(CALENDAR["date"], text))
            assert (1 <= day <= days) == matched, text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:00:00Z", True),
        ("23:59:59.123456+01:00", True),
        ("24:00:00Z", False),
        ("10:00:60Z", False),
        ("10:00:00", False),
        ("10:00:00.1234567Z", False),
    ],
)
def test_a_time_has_an_offset_and_no_leap_second(text, expected):
    """A time is one that Python's `datetime` can hold."""
    assert expected == bool(re.search(CALENDAR["time"], text))
    assert expected == bool(re.search(CALENDAR["date-time"], f"2024-02-29T{text}"))
