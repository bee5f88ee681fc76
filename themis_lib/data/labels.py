"""The expected output behind a label: a position, a letter, the text of an option."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from themis_lib.core.config import LabelMap
from themis_lib.core.templates import letter
from themis_lib.data.records import Row
from themis_lib.errors import nearest
from themis_lib.identity.digests import canonical_json


def check_label(label: LabelMap) -> None:
    """Raise `ValueError` for settings of a label map that do not fit each other."""
    if label.choices is not None and label.map != "letter":
        raise ValueError("`choices` is for `map: letter`")
    if label.first is None and label.choices is None:
        raise ValueError(
            "with `first: null` labels are texts of options: name their column, "
            "`choices`"
        )


def label_columns(label: LabelMap) -> list[str]:
    """Return the columns that a label is read from."""
    columns = [label.column]
    if label.choices is not None:
        columns.append(label.choices)
    return columns


def expected_of_label(
    label: LabelMap,
    row: Row,
) -> Any:
    """Return the expected output of a row, or `None` if its label is null or blank.

    Raise `ValueError`, naming the column and the value, for a label that has no place
    in the map: it would be a case that nobody can answer.
    """
    value = row[label.column]
    if value is None or value == "":
        return None
    try:
        if label.map == "letter":
            return _letter_of(value, label, row)
        if isinstance(label.map, list):
            # `check_label` refuses `first: null` with a list.
            return label.map[_position(value, label.first or 0, len(label.map))]
        return _entry(value, label.map)
    except ValueError as error:
        raise ValueError(f"column {label.column!r}: {error}") from None


def _letter_of(
    value: Any,
    label: LabelMap,
    row: Row,
) -> str:
    options = _options(label, row)
    count = len(string.ascii_uppercase) if options is None else len(options)
    found = _letters(value, options, label.first, count)
    if len(found) > 1:
        named = " and ".join(sorted(found))
        raise ValueError(
            f"{value!r:.60} could be {named}; leave `choices` out if labels are letters "
            "or positions, or write `first: null` if they are texts of options"
        )
    if not found:
        known = []
        if label.first is not None:
            last = label.first + count - 1
            known.append(f"a position ({label.first} to {last}) or a letter")
        if options is not None:
            known.append(f"the text of an option in column {label.choices!r}")
        raise ValueError(f"{value!r:.60} is not {' or '.join(known)}")
    return found.pop()


def _letters(
    value: Any,
    options: Sequence[Any] | None,
    first: int | None,
    count: int,
) -> set[str]:
    """Return every letter that a label could mean."""
    found = set()
    for index, option in enumerate(options or ()):
        if option == value and isinstance(option, bool) == isinstance(value, bool):
            found.add(letter(index))
    if first is None:
        return found
    text = value.strip() if isinstance(value, str) else ""
    if len(text) == 1 and text.upper() in string.ascii_uppercase[:count]:
        found.add(text.upper())
    try:
        found.add(letter(_position(value, first, count)))
    except ValueError:
        return found
    return found


def _options(
    label: LabelMap,
    row: Row,
) -> Sequence[Any] | None:
    if label.choices is None:
        return None
    options = row[label.choices]
    if not isinstance(options, list) or not options:
        raise ValueError(
            f"column {label.choices!r} is no list of options: {options!r:.60}"
        )
    return options


def _position(
    value: Any,
    first: int,
    count: int,
) -> int:
    """Return a label as a position counted from 0."""
    number = value
    if isinstance(value, str) and value.strip().isdecimal():
        number = int(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    # For Python a bool is an int.
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"{value!r:.60} is no position")
    if not first <= number < first + count:
        raise ValueError(
            f"{value!r:.60} is no position, {first} to {first + count - 1}"
        )
    return number - first


def _entry(
    value: Any,
    entries: dict[str, Any],
) -> Any:
    key = value if isinstance(value, str) else canonical_json(value)
    if key not in entries:
        raise ValueError(f"{value!r:.60} is not in the map; {nearest(key, entries)}")
    return entries[key]
