"""Formats of a JSON Schema, and patterns for the dates and times among them."""

from __future__ import annotations

# Years 0001 to 9999, as in Python's `datetime`.
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
# Two digits that four divides, without 00: as the last two of a year they make a leap
# year; as the first two before 00, a century that is one.
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_LONG_MONTH = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT_MONTH = "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_FEBRUARY = "02-(?:0[1-9]|1[0-9]|2[0-8])"
_LEAP_DAY = f"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)-02-29"
_DATE = f"(?:{_YEAR}-(?:{_LONG_MONTH}|{_SHORT_MONTH}|{_FEBRUARY})|{_LEAP_DAY})"
_HOUR = "(?:[01][0-9]|2[0-3])"
# RFC 3339 allows a 60th second; `datetime` does not, nor more than six digits after
# the point.
_CLOCK = rf"{_HOUR}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,6}})?"
_TIME = f"{_CLOCK}(?:Z|[+-]{_HOUR}:[0-5][0-9])"

#: Patterns of RFC 3339 in which only days and seconds that exist match. llguidance's
#: patterns for these formats know no leap years.
CALENDAR = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
}
#: Every format that is enforced: the calendar's, and those that llguidance has right.
FORMATS = frozenset(
    {
        *CALENDAR,
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uuid",
    }
)
