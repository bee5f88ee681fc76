"""The JSON form of values with types that JSON lacks, as Arrow's tables hold them."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from themis_lib.core.parts import is_parts
from themis_lib.data.records import Row


def json_row(row: Row) -> dict[str, Any]:
    """Return a row with every value in its JSON form.

    Raises `ValueError`, naming the column, for a value without one.
    """
    values = {}
    for name, value in row.items():
        try:
            values[name] = json_form(value)
        except ValueError as error:
            raise ValueError(f"column {name!r}: {error}") from None
    return values


def json_form(value: Any) -> Any:
    """Return a value in its JSON form; what has none is returned as it is.

    Dates and times are ISO 8601 texts, durations too (`PT1H30M`). A decimal is a
    number, or a text where a number could not hold its digits. Bytes are the UTF-8 text
    that they hold. In a list of messages or of content parts, keys without a value are left
    out: a table gives every message the keys of all others.

    >>> json_form([datetime.date(2024, 2, 29), Decimal("1.50"), b"text"])
    ['2024-02-29', 1.5, 'text']
    >>> json_form([{"role": "user", "content": "hi", "name": None}])
    [{'role': 'user', 'content': 'hi'}]
    """
    # Most values, and exact types: pandas has subclasses of others.
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, dict):
        return {_key_form(key): json_form(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        items = [json_form(item) for item in value]
        if _are_messages(items):
            return without_added_nulls(items)
        # The same for the parts of a turn; nothing else has a `type` in every item.
        parts = [_without_nulls(item) for item in items if _has_type(item)]
        return parts if len(parts) == len(items) and is_parts(parts) else items
    return _scalar_form(value)


def without_added_nulls(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages without the keys that have no value.

    A message without content keeps the key: chat APIs take null for it.
    """
    turns = []
    for message in messages:
        turn = _without_nulls(message)
        if "content" in message and "role" in turn:
            turn.setdefault("content", None)
        # In the order of the message: other orders are other texts for a reader.
        turns.append({name: turn[name] for name in message if name in turn})
    return turns


def _are_messages(items: list[Any]) -> bool:
    has_role = False
    for item in items:
        if not isinstance(item, dict) or "role" not in item:
            return False
        has_role = has_role or item["role"] is not None
    return has_role


def _has_type(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("type"), str)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_nulls(item)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _scalar_form(value: Any) -> Any:
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return to_jsonable_python(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return _decimal_form(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError(
                f"its {len(value)} bytes are no UTF-8 text; store them as text, such as "
                "base64"
            ) from None
    # Arrow's interval is a tuple of months, days and nanoseconds.
    if isinstance(value, tuple):
        raise ValueError(f"{value!r:.60} has no JSON form; store it as text")
    return value


def _decimal_form(value: Decimal) -> int | float | str:
    if value.is_finite() and value == value.to_integral_value():
        return int(value)
    number = float(value)
    if math.isnan(number) or Decimal(repr(number)) == value:
        return number
    return str(value)


def _key_form(key: Any) -> Any:
    # Numbers and booleans become texts when they are written.
    if isinstance(key, (str, int, float, bool)) or key is None:
        return key
    return json_form(key)
