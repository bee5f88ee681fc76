"""Values of Arrow's tables in their JSON form."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from themis_lib.data.json_forms import json_form, json_row

NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 250_000)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (NOON, "2024-02-29T12:00:00.250000"),
        (NOON.replace(tzinfo=datetime.UTC), "2024-02-29T12:00:00.250000+00:00"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.time(12, 30), "12:30:00"),
        (datetime.timedelta(hours=1, minutes=30), "PT1H30M"),
        (Decimal("1.50"), 1.5),
        (Decimal("42.00"), 42),
        (Decimal("12345678901234567890"), 12345678901234567890),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        ("é".encode(), "é"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({datetime.date(2024, 2, 29): 1, "a": b"b"}, {"2024-02-29": 1, "a": "b"}),
        ([(b"a", [Decimal(1)])], [["a", [1]]]),
        (True, True),
        (None, None),
    ],
)
def test_values_have_one_form(value: Any, form: Any) -> None:
    """Texts of ISO 8601, numbers, and the text that bytes hold."""
    found = json_form(value)

    assert (form, type(form)) == (found, type(found))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"\x89PNG", "column 'a': its 4 bytes are no UTF-8 text; store them as text"),
        (
            pa.scalar((1, 2, 3), pa.month_day_nano_interval()).as_py(),
            "column 'a': MonthDayNano(months=1, days=2, nanoseconds=3) has no JSON form",
        ),
    ],
)
def test_value_without_a_form_names_its_column(value: Any, message: str) -> None:
    """With what to do about it."""
    with pytest.raises(ValueError, match=r"^column 'a': ") as raised:
        json_row({"b": 1, "a": {"x": [value]}})

    assert str(raised.value).startswith(message)


def test_messages_lose_the_keys_that_others_brought() -> None:
    """At every depth, wherever in a value they are; content may be null."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "extra": None}}
    image = {
        "type": "image_url",
        "text": None,
        "image_url": {"url": "u", "detail": None},
    }
    messages = [
        {"role": "user", "content": [image], "tool_calls": None, "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [call], "name": None},
        {"role": None, "content": None, "type": "reasoning", "summary": [None]},
    ]

    form = json_form({"messages": messages, "note": None})

    assert {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "u"}}],
                "name": "ann",
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f"}}
                ],
            },
            {"type": "reasoning", "summary": [None]},
        ],
        "note": None,
    } == form
    # In the order of the message.
    assert ["role", "content", "tool_calls"] == list(form["messages"][1])


@pytest.mark.parametrize(
    "value",
    [
        {"question": "q", "hint": None},
        [{"question": "q", "hint": None}],
        [{"role": None, "text": "q"}],
        [{"role": "user", "content": "q", "name": None}, "text"],
        [],
    ],
)
def test_other_nulls_stay(value: Any) -> None:
    """What is no list of messages keeps what it has."""
    assert value == json_form(value)
