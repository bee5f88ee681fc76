"""Digests, keys and canonical JSON: what they are, what they tell apart, and what they
refuse.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.identity.digests import (
    bytes_digest,
    canonical_json,
    digest,
    load_json,
    row_keys,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda items: (
        st.lists(items, max_size=5) | st.dictionaries(TEXTS, items, max_size=5)
    ),
    max_leaves=25,
)


class Text(str):
    __slots__ = ()


@dataclass
class Point:
    x: int = 0


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("case", None, "d245739b4a14c781f51cac8978e9af8b"),
        ("case", {"input": "2+2"}, "1feb3ff62a999bcd8466482ae8a80341"),
        ("prompt", {"input": "2+2"}, "1957958ba1dd092b522855d56f901b19"),
        ("seed", [0, 0], "8509525a0062b970afe8bc48e2346bbd"),
        (
            "é",
            ['ü\n"\\\x01\u2028', 1e16, -0.0, 0.1, 2**64, True, {"b": [], "a": {}}],
            "c330414e5482cc0c593252f187c33fd3",
        ),
    ],
)
def test_digest_is_fixed(kind: str, value: Any, expected: str) -> None:
    """The digest of a value is the same for ever: stores written long ago are still
    found.
    """
    assert expected == digest(kind, value)


def test_bytes_digest_is_fixed() -> None:
    """The digest of a file's content is the same for ever."""
    assert "471c3c6b9f278cd630ec15c3e240da73" == bytes_digest("file", b"\x00abc")


def test_row_keys_are_fixed() -> None:
    """The key of a row is the same for ever, whatever stands beside the row."""
    rows = [['"a"', "1"], ['"a"', None], []]

    keys = row_keys("0123456789abcdef0123456789abcdef", rows)

    assert [
        "b50174ee1dfde220b23bdf0da6be252c",
        "02a687e013f38e5bed7c6083bb1ee0d0",
        "12896a312d857c33654e3620c9b73b22",
    ] == [key.hex() for key in keys]


def test_row_keys_cover_the_fingerprint() -> None:
    """Equal rows of two computations have two keys."""
    first, second = (
        row_keys(fingerprint, [["1"]]) for fingerprint in ("a" * 32, "b" * 32)
    )

    assert first != second


@given(st.lists(JSON, min_size=2, max_size=2), st.lists(JSON, min_size=2, max_size=2))
def test_row_keys_differ_when_a_column_differs(
    one: list[Any], other: list[Any]
) -> None:
    """Two rows have one key exactly when each column has one text."""
    rows = [[canonical_json(value) for value in row] for row in (one, other)]

    first, second = row_keys("f" * 32, rows)

    assert (rows[0] == rows[1]) == (first == second)


def test_kinds_are_separate() -> None:
    """One value digested as two kinds of thing has two digests."""
    assert 3 == len({digest(kind, "x") for kind in ("case", "prompt", "cas")})


@given(JSON)
def test_canonical_json_round_trips(value: Any) -> None:
    """What is written as canonical JSON is read back as it was, types included."""
    read = load_json(canonical_json(value))

    assert repr(value_in_key_order(value)) == repr(value_in_key_order(read))


@given(JSON)
def test_canonical_json_is_its_own_canonical_form(value: Any) -> None:
    """Equal values have equal texts: reading and writing again changes nothing."""
    text = canonical_json(value)

    assert text == canonical_json(load_json(text))


@given(st.floats(allow_nan=False, allow_infinity=False), TEXTS)
def test_subclasses_are_written_as_plain_values(number: float, text: str) -> None:
    """A NumPy float or a subclass of `str` is written like the plain value it equals."""
    value = {Text(text): [np.float64(number), Text(text)]}

    assert canonical_json({text: [number, text]}) == canonical_json(value)


@given(st.dictionaries(TEXTS, NUMBERS, min_size=2), st.randoms(use_true_random=False))
def test_key_order_is_irrelevant(value: dict[str, Any], random: Any) -> None:
    """The order in which keys were put into a mapping does not show."""
    items = list(value.items())
    random.shuffle(items)

    assert canonical_json(value) == canonical_json(dict(items))


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40 + 1])
def test_long_integers_keep_every_digit(number: int) -> None:
    """Integers beyond 64 bits are written and read digit by digit."""
    text = canonical_json({"n": number})

    assert f'{{"n":{number}}}' == text
    assert {"n": number} == load_json(text)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        "\ud800",
        {"\udfff": 1},
        {1, 2},
        b"bytes",
        object(),
        Point(),
        Decimal("1.5"),
        datetime.datetime(2026, 1, 1),
        datetime.date(2026, 1, 1),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    "place",
    [lambda value: value, lambda value: {"a": [None, value]}],
    ids=["bare", "nested"],
)
def test_what_json_cannot_say_is_refused(value: Any, place: Any) -> None:
    """NaN, infinity, lone surrogates and objects are refused wherever they stand."""
    with pytest.raises(ValueError, match="not a JSON value"):
        canonical_json(place(value))


def test_circular_values_are_refused() -> None:
    """A list that holds itself is refused, not followed for ever."""
    circular: list[Any] = []
    circular.append(circular)

    with pytest.raises(ValueError, match="not a JSON value"):
        canonical_json(circular)


def test_deep_values_are_written() -> None:
    """Two hundred and more levels of nesting are a value like any other."""
    value: Any = 1
    for _ in range(500):
        value = [value]

    assert value == load_json(canonical_json(value))


def value_in_key_order(value: Any) -> Any:
    """The value with its mappings' keys sorted, so that `repr` compares types as well
    as values.
    """
    if isinstance(value, dict):
        return {key: value_in_key_order(value[key]) for key in sorted(value)}
    return (
        [value_in_key_order(item) for item in value]
        if isinstance(value, list)
        else value
    )
